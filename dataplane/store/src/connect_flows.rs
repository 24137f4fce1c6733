//! Pending consents at origins' authorization servers.

use crate::{Store, StoreError};

/// A pending consent at an origin's authorization server.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConnectFlowRow {
    /// Digest of the `state`.
    pub state_digest: String,
    /// Id of the principal who connects.
    pub principal_id: String,
    /// UID of the origin.
    pub origin_uid: String,
    /// Digest of the browser cookie of the browser that started it.
    pub browser: String,
    /// The data that completes the flow, sealed.
    pub sealed: String,
    /// When the flow expires.
    pub expires_at: i64,
}

impl Store {
    /// Stores a started consent, and deletes some expired ones.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn begin_connect_flow(&self, row: &ConnectFlowRow, now: i64) -> Result<(), StoreError> {
        let expired =
            sqlx::query(delete_batch!("connect_flows", "state_digest", "expires_at <= $1")).bind(now);
        if let Err(error) = self.execute(expired).await {
            tracing::warn!(%error, "failed to delete expired consent flows");
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

    /// Removes and returns a consent, which works only once. `None` if it is unknown or expired.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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
