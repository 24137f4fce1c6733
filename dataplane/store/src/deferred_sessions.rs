use crate::{Store, StoreError};

impl Store {
    /// Which session of the origin's a late session became, sealed; `None` while it has become none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn deferred_session(&self, id: &str) -> Result<Option<String>, StoreError> {
        let row: Option<(String,)> = self
            .row(sqlx::query_as("SELECT origin_session FROM late_sessions WHERE id = $1").bind(id))
            .await?;
        Ok(row.map(|(origin_session,)| origin_session))
    }

    /// Notes which session of the origin's a late session has become. The first to note it wins; the winner is returned.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_deferred_session(
        &self,
        id: &str,
        origin_session: &str,
        now: i64,
    ) -> Result<String, StoreError> {
        // The update changes nothing; it is there because only a row that was written is returned.
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

    /// Forgets sessions opened before a time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_deferred_sessions(&self, before: i64) -> Result<(), StoreError> {
        self.prune(&[delete_batch!("late_sessions", "id", "opened_at < $1")], before).await
    }
}
