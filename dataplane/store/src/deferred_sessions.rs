//! Deferred sessions: gateway sessions whose session at the origin is opened later.

use crate::{Store, StoreError};

impl Store {
    /// The origin's session of a deferred session, sealed. `None` if it is not opened yet.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn deferred_session(&self, id: &str) -> Result<Option<String>, StoreError> {
        let row: Option<(String,)> = self
            .row(sqlx::query_as("SELECT origin_session FROM late_sessions WHERE id = $1").bind(id))
            .await?;
        Ok(row.map(|(origin_session,)| origin_session))
    }

    /// Stores the origin's session of a deferred session. The first writer wins; the stored session is
    /// returned.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn open_deferred_session(
        &self,
        id: &str,
        origin_session: &str,
        now: i64,
    ) -> Result<String, StoreError> {
        // The update changes nothing. It is needed because `RETURNING` returns only written rows.
        let row: Option<(String,)> = self
            .row(
                sqlx::query_as(
                    "INSERT INTO late_sessions (id, origin_session, opened_at)
                     VALUES ($1, $2, $3)
                     ON CONFLICT (id) DO UPDATE SET origin_session = late_sessions.origin_session
                     RETURNING origin_session",
                )
                .bind(id)
                .bind(origin_session)
                .bind(now),
            )
            .await?;
        Ok(row.map_or_else(|| origin_session.to_owned(), |(winner,)| winner))
    }

    /// Deletes sessions that were opened before a time.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_deferred_sessions(&self, before: i64) -> Result<(), StoreError> {
        self.prune(&[delete_batch!("late_sessions", "id", "opened_at < $1")], before).await
    }
}
