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
    /// Time of the last use, to the day; for a client without a grant, to a few minutes.
    pub last_used_at: i64,
    /// The network from which it registered, if it never had a grant. `None` also for clients that an older
    /// version registered.
    pub registered_from: Option<String>,
}

/// How many clients that never had a grant are kept.
#[derive(Clone, Copy, Debug)]
pub struct UnusedClientLimits {
    /// From one network.
    pub per_network: i64,
    /// In total.
    pub total: i64,
}

/// Rows that one registration evicts at most. One would do, but concurrent registrations may overlap.
const MAX_EVICTIONS: i64 = 50;

/// A condition on `clients`: no grant exists. Needed although `registered_from` is set: an older version does
/// not clear it.
macro_rules! without_grant {
    () => {
        "registered_from IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM grants WHERE substr(grants.client_id, 1, 64) = substr(clients.id, 1, 64))"
    };
}

impl Store {
    /// Stores a client that has just registered.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn add_client(&self, row: &ClientRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO clients (id, secret_digest, metadata, created_at, last_used_at,
                     registered_from)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&row.id)
            .bind(&row.secret_digest)
            .bind(&row.metadata)
            .bind(row.created_at)
            .bind(row.last_used_at)
            .bind(&row.registered_from),
        )
        .await?;
        Ok(())
    }

    /// Deletes clients that never had a grant, beyond the limits: first the least recently used ones of the
    /// network of a client that has just registered, then those of the network that has the most. Keeps that
    /// client.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn evict_unused_clients(
        &self,
        registered: &ClientRow,
        limits: UnusedClientLimits,
    ) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(concat!(
                "DELETE FROM clients
                 WHERE id IN (SELECT id FROM clients
                              WHERE registered_from = $1 AND id <> $2
                              ORDER BY last_used_at DESC, id
                              LIMIT $3 OFFSET $4)
                     AND ",
                without_grant!()
            ))
            .bind(&registered.registered_from)
            .bind(&registered.id)
            .bind(MAX_EVICTIONS)
            .bind(limits.per_network.saturating_sub(1)),
        )
        .await?;
        let count: Option<(i64,)> = self
            .row(sqlx::query_as("SELECT COUNT(*) FROM clients WHERE registered_from IS NOT NULL"))
            .await?;
        let excess = count.map_or(0, |(count,)| count.saturating_sub(limits.total));
        if excess > 0 {
            self.evict_from_largest_network(&registered.id, excess.min(MAX_EVICTIONS)).await?;
        }
        Ok(())
    }

    async fn evict_from_largest_network(&self, keep: &str, count: i64) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(concat!(
                "DELETE FROM clients
                 WHERE id IN (SELECT id FROM clients
                              WHERE id <> $1 AND registered_from = (
                                  SELECT registered_from FROM clients
                                  WHERE registered_from IS NOT NULL
                                  GROUP BY registered_from
                                  ORDER BY COUNT(*) DESC, registered_from
                                  LIMIT 1)
                              ORDER BY last_used_at, id
                              LIMIT $2)
                     AND ",
                without_grant!()
            ))
            .bind(keep)
            .bind(count),
        )
        .await?;
        Ok(())
    }

    /// Whether a registered client has grants, ended ones included until they are pruned.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn has_grants(&self, client_id: &str) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = self
            .row(
                sqlx::query_as("SELECT created_at FROM grants WHERE substr(client_id, 1, 64) = $1 LIMIT 1")
                    .bind(client_id),
            )
            .await?;
        Ok(found.is_some())
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
                "SELECT id, secret_digest, metadata, created_at, last_used_at, registered_from
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

    /// Deletes clients that never had a grant and were not used since a time.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_unused_clients(&self, unused_since: i64) -> Result<(), StoreError> {
        let statement = delete_batch!(
            "clients",
            "id",
            "last_used_at < $1 AND registered_from IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM grants WHERE substr(grants.client_id, 1, 64) = substr(clients.id, 1, 64))"
        );
        self.prune(&[statement], unused_since).await
    }

    /// Deletes clients that were not used since a time.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_clients(&self, unused_since: i64) -> Result<(), StoreError> {
        self.prune(&[delete_batch!("clients", "id", "last_used_at < $1")], unused_since).await
    }
}
