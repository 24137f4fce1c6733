use crate::{Store, StoreError};

/// An OAuth client that registered dynamically (RFC 7591).
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ClientRow {
    /// `client_id`.
    pub id: String,
    /// Digest of its secret; `None` for a public client.
    pub secret_digest: Option<String>,
    /// What it said about itself, JSON.
    pub metadata: String,
    /// When it registered.
    pub created_at: i64,
    /// When it was last used, to the day.
    pub last_used_at: i64,
}

impl Store {
    /// Stores a client that has just registered.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// A client that was used since `used_since`. One that was not is as good as forgotten.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn client(&self, id: &str, used_since: i64) -> Result<Option<ClientRow>, StoreError> {
        // A stranger's word, which PostgreSQL may not even be able to compare.
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

    /// Notes that a client was used.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn touch_client(&self, id: &str, now: i64) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("UPDATE clients SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2")
                .bind(id)
                .bind(now),
        )
        .await?;
        Ok(())
    }

    /// Forgets clients that were not used since a time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_clients(&self, unused_since: i64) -> Result<(), StoreError> {
        self.prune(&[delete_batch!("clients", "id", "last_used_at < $1")], unused_since).await
    }
}
