//! Used assertions (RFC 7523), for replay protection.

use crate::{Store, StoreError};

impl Store {
    /// Marks an assertion as used. Returns true only for the first call with this id, across all replicas.
    /// The id is kept until `expires_at`; after that the assertion itself is too old to be accepted.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

    /// Whether an assertion was used.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn is_assertion_used(&self, id: &str) -> Result<bool, StoreError> {
        let used: Option<(i64,)> =
            self.row(sqlx::query_as("SELECT expires_at FROM used_assertions WHERE id = $1").bind(id)).await?;
        Ok(used.is_some())
    }

    /// Deletes ids of expired assertions.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_assertions(&self, expired_before: i64) -> Result<(), StoreError> {
        self.prune(&[delete_batch!("used_assertions", "id", "expires_at < $1")], expired_before).await
    }
}
