//! Connect links.

use crate::{Store, StoreError};

/// A connect link.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConnectLinkRow {
    /// Digest of the ticket.
    pub id: String,
    /// Id of the principal for whom the link was created.
    pub principal: String,
    /// UID of the origin.
    pub origin_uid: String,
    /// UID of the route.
    pub route_uid: String,
    /// When the link expires.
    pub expires_at: i64,
}

impl Store {
    /// Stores a connect link.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn put_connect_link(&self, row: &ConnectLinkRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO connect_tickets (id, principal, origin_uid, route_uid, expires_at)
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&row.id)
            .bind(&row.principal)
            .bind(&row.origin_uid)
            .bind(&row.route_uid)
            .bind(row.expires_at),
        )
        .await?;
        Ok(())
    }

    /// A connect link that has neither been used nor expired.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn connect_link(&self, id: &str, now: i64) -> Result<Option<ConnectLinkRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT id, principal, origin_uid, route_uid, expires_at
                 FROM connect_tickets
                 WHERE id = $1 AND used_at IS NULL AND expires_at > $2",
            )
            .bind(id)
            .bind(now),
        )
        .await
    }

    /// Marks a connect link as used. Returns true only for the first call.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn use_connect_link(&self, id: &str, now: i64) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE connect_tickets SET used_at = $1
                     WHERE id = $2 AND used_at IS NULL AND expires_at > $3",
                )
                .bind(now)
                .bind(id)
                .bind(now),
            )
            .await?;
        Ok(done == 1)
    }
}
