use crate::{Store, StoreError};

/// A consent under way at an origin's authorization server.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConnectFlowRow {
    /// Digest of the `state`.
    pub state_digest: String,
    /// Who wants to connect.
    pub principal_id: String,
    /// Which origin.
    pub origin_uid: String,
    /// Digest of the session cookie of the browser that it began in.
    pub browser: String,
    /// What is needed to end it, sealed.
    pub sealed: String,
    /// When it is too late.
    pub expires_at: i64,
}

impl Store {
    /// Notes that a consent has begun, and forgets some of those that are too late.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_connect_flow(&self, row: &ConnectFlowRow, now: i64) -> Result<(), StoreError> {
        let too_late =
            sqlx::query(delete_batch!("connect_flows", "state_digest", "expires_at <= $1")).bind(now);
        if let Err(error) = self.execute(too_late).await {
            tracing::warn!(%error, "consents that are too late could not be forgotten; the next one tries again");
        }
        self.execute(
            sqlx::query(
                "INSERT INTO connect_flows (state_digest, principal_id, origin_uid, browser, sealed,
                     expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&row.state_digest)
            .bind(&row.principal_id)
            .bind(&row.origin_uid)
            .bind(&row.browser)
            .bind(&row.sealed)
            .bind(row.expires_at),
        )
        .await?;
        Ok(())
    }

    /// Takes a consent out, so that nobody else can; `None` when there is none, or it is too late.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_connect_flow(
        &self,
        state_digest: &str,
        now: i64,
    ) -> Result<Option<ConnectFlowRow>, StoreError> {
        let row: Option<ConnectFlowRow> = self
            .row(
                sqlx::query_as(
                    "DELETE FROM connect_flows
                     WHERE state_digest = $1
                     RETURNING state_digest, principal_id, origin_uid, browser, sealed, expires_at",
                )
                .bind(state_digest),
            )
            .await?;
        Ok(row.filter(|row| row.expires_at > now))
    }
}
