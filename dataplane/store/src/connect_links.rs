use crate::{Store, StoreError};

/// What a connect link was made for.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConnectLinkRow {
    /// Digest of the ticket.
    pub id: String,
    /// For whom, as a principal's id.
    pub principal: String,
    /// For which origin.
    pub origin_uid: String,
    /// For the use of which route.
    pub route_uid: String,
    /// Until when.
    pub expires_at: i64,
}

impl Store {
    /// Keeps a connect link.
    ///
    /// # Errors
    /// When the database does not answer.
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
    /// When the database does not answer.
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

    /// Uses a connect link up. True for the one caller who was first.
    ///
    /// # Errors
    /// When the database does not answer.
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
