//! Signed assertions (RFC 7523), each of which counts once.

use crate::{Store, StoreError};

impl Store {
    /// Uses an assertion up. True for the one caller who is the first with this id, at any replica; the id is remembered until
    /// `expires_at`, from when on the assertion itself is too old to count.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_assertion(&self, id: &str, expires_at: i64) -> Result<bool, StoreError> {
        let first = self
            .execute(
                sqlx::query(
                    "INSERT INTO used_assertions (id, expires_at) VALUES ($1, $2)
                     ON CONFLICT (id) DO NOTHING",
                )
                .bind(id)
                .bind(expires_at),
            )
            .await?;
        Ok(first == 1)
    }

    /// Whether an assertion was used up.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_assertion_used(&self, id: &str) -> Result<bool, StoreError> {
        let used: Option<(i64,)> =
            self.row(sqlx::query_as("SELECT expires_at FROM used_assertions WHERE id = $1").bind(id)).await?;
        Ok(used.is_some())
    }

    /// Forgets assertions that are too old to count.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_assertions(&self, expired_before: i64) -> Result<(), StoreError> {
        self.prune(&[delete_batch!("used_assertions", "id", "expires_at < $1")], expired_before).await
    }
}
