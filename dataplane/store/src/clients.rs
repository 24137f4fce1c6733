//! OAuth clients that registered dynamically.

use crate::{Store, StoreError};

/// An OAuth client that registered dynamically (RFC 7591).
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ClientRow {
    /// `client_id`.
    pub id: String,
    /// Digest of its secret; `None` for a public client.
    pub secret_digest: Option<String>,
    /// Client metadata from the registration, JSON.
    pub metadata: String,
    /// Time of the registration.
    pub created_at: i64,
    /// Time of the last use, to the day.
    pub last_used_at: i64,
}

impl Store {
    /// Stores a client that has just registered.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn add_client(&self, row: &ClientRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO clients (id, secret_digest, metadata, created_at, last_used_at)
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&row.id)
            .bind(&row.secret_digest)
            .bind(&row.metadata)
            .bind(row.created_at)
            .bind(row.last_used_at),
        )
        .await?;
        Ok(())
    }

    /// A client that was used at or after `used_since`. Other clients count as expired.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn client(&self, id: &str, used_since: i64) -> Result<Option<ClientRow>, StoreError> {
        // The id is untrusted, and PostgreSQL rejects U+0000.
        if id.contains('\0') {
            return Ok(None);
        }
        self.row(
            sqlx::query_as(
                "SELECT id, secret_digest, metadata, created_at, last_used_at
                 FROM clients
                 WHERE id = $1 AND last_used_at >= $2",
            )
            .bind(id)
            .bind(used_since),
        )
        .await
    }

    /// Records the use of a client.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn touch_client(&self, id: &str, now: i64) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("UPDATE clients SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2")
                .bind(id)
                .bind(now),
        )
        .await?;
        Ok(())
    }

    /// Deletes clients that were not used since a time.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_clients(&self, unused_since: i64) -> Result<(), StoreError> {
        self.prune(&[delete_batch!("clients", "id", "last_used_at < $1")], unused_since).await
    }
}
