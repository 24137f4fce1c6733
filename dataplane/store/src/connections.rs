//! Connections: the links of users to origins, with their sealed tokens.

use crate::change_log::{CONNECTED, DISCONNECTED, log_connection_change};
use crate::columns::connection_columns;
use crate::step_ups::delete_step_up;
use crate::text::text;
use crate::{Store, StoreError};

/// Connections that one transaction removes.
const BATCH_SIZE: i64 = 100;

/// One user's connection to one origin.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConnectionRow {
    /// Id of the principal.
    pub principal_id: String,
    /// UID of the origin.
    pub origin_uid: String,
    /// The origin's URL at the time of the consent. The connection is valid only for this URL.
    pub origin_url: String,
    /// The `resource` parameter of token requests (RFC 8707).
    pub resource: String,
    /// The authorization server that issued the tokens.
    pub issuer: String,
    /// The only URL to which the refresh token is sent.
    pub token_endpoint: String,
    /// The revocation endpoint (RFC 7009), if there is one.
    pub revocation_endpoint: Option<String>,
    /// The gateway's client id there.
    pub client_id: String,
    /// How the gateway obtained the client id.
    pub registration: String,
    /// Client authentication method at the token endpoint.
    pub auth_method: String,
    /// Granted scopes, separated by spaces.
    pub scope: String,
    /// The tokens, sealed.
    pub sealed: String,
    /// When the access token was issued.
    pub issued_at: i64,
    /// When the access token expires, if the server specified it.
    pub expires_at: Option<i64>,
    /// 1 if the authorization server has permanently rejected the refresh token.
    pub dead: i64,
    /// Changes when the tokens or `dead` change, but not when they are reencrypted. Used for
    /// compare-and-swap.
    pub revision: String,
    /// Until when one replica has the lease for refreshing the tokens.
    pub leased_until: i64,
    /// Time of the last consent.
    pub connected_at: i64,
    /// When a call last used it, to the hour; `None` if no call has. Not written by
    /// [`Store::put_connection`].
    pub last_used_at: Option<i64>,
}

/// Selects connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFilter<'a> {
    /// All of one user, by principal id.
    Person(&'a str),
    /// All to one origin, by its UID.
    Origin(&'a str),
}

/// The result of a token refresh.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The new tokens, sealed.
    pub sealed: String,
    /// Granted scopes, separated by spaces.
    pub scope: String,
    /// See [`ConnectionRow::issued_at`].
    pub issued_at: i64,
    /// See [`ConnectionRow::expires_at`].
    pub expires_at: Option<i64>,
    /// The new revision.
    pub revision: String,
}

impl Store {
    /// A user's connection to an origin.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn connection(
        &self,
        principal_id: &str,
        origin_uid: &str,
    ) -> Result<Option<ConnectionRow>, StoreError> {
        self.row(
            sqlx::query_as(concat!(
                "SELECT ",
                connection_columns!(),
                " FROM connections
                 WHERE principal_id = $1 AND origin_uid = $2"
            ))
            .bind(principal_id)
            .bind(origin_uid),
        )
        .await
    }

    /// Stores a connection, replaces the previous one, and logs the change for all replicas.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn put_connection(&self, row: &ConnectionRow) -> Result<(), StoreError> {
        self.transaction(async |work| {
            sqlx::query(
                "INSERT INTO connections (principal_id, origin_uid, origin_url, resource, issuer,
                     token_endpoint, revocation_endpoint, client_id, registration, auth_method, scope,
                     sealed, issued_at, expires_at, dead, revision, leased_until, connected_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                     $18)
                 ON CONFLICT (principal_id, origin_uid)
                 DO UPDATE SET origin_url = excluded.origin_url,
                     resource = excluded.resource, issuer = excluded.issuer,
                     token_endpoint = excluded.token_endpoint,
                     revocation_endpoint = excluded.revocation_endpoint,
                     client_id = excluded.client_id, registration = excluded.registration,
                     auth_method = excluded.auth_method, scope = excluded.scope,
                     sealed = excluded.sealed, issued_at = excluded.issued_at,
                     expires_at = excluded.expires_at, dead = excluded.dead,
                     revision = excluded.revision, leased_until = excluded.leased_until,
                     connected_at = excluded.connected_at",
            )
            .bind(&row.principal_id)
            .bind(&row.origin_uid)
            .bind(&row.origin_url)
            .bind(&row.resource)
            .bind(&row.issuer)
            .bind(&row.token_endpoint)
            .bind(&row.revocation_endpoint)
            .bind(&row.client_id)
            .bind(&row.registration)
            .bind(&row.auth_method)
            .bind(text(&row.scope))
            .bind(&row.sealed)
            .bind(row.issued_at)
            .bind(row.expires_at)
            .bind(row.dead)
            .bind(&row.revision)
            .bind(row.leased_until)
            .bind(row.connected_at)
            .execute(&mut *work)
            .await?;
            log_connection_change(work, CONNECTED, &row.principal_id, &row.origin_uid, row.connected_at).await
        })
        .await
    }

    /// Takes the lease for refreshing a connection until a time. `false` if another replica has it, or the
    /// connection has changed. No database lock is held: the lease of a crashed replica expires.
    ///
    /// `now` and `until` are times of the caller's clock. A replica whose clock is ahead can take a lease
    /// that has not expired for its holder. The difference between clocks must be less than the lease
    /// duration minus the duration of the token request.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn lease_connection(
        &self,
        row: &ConnectionRow,
        now: i64,
        until: i64,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE connections SET leased_until = $1
                     WHERE principal_id = $2 AND origin_uid = $3 AND revision = $4
                         AND leased_until <= $5",
                )
                .bind(until)
                .bind(&row.principal_id)
                .bind(&row.origin_uid)
                .bind(&row.revision)
                .bind(now),
            )
            .await?;
        Ok(done == 1)
    }

    /// Releases a lease before it expires.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn release_connection(&self, row: &ConnectionRow, until: i64) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE connections SET leased_until = 0
                 WHERE principal_id = $1 AND origin_uid = $2 AND revision = $3 AND leased_until = $4",
            )
            .bind(&row.principal_id)
            .bind(&row.origin_uid)
            .bind(&row.revision)
            .bind(until),
        )
        .await?;
        Ok(())
    }

    /// Stores new tokens, ends the lease, and counts as a use of the connection. `false` if the connection
    /// has changed since `row` was read.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn renew_connection(&self, row: &ConnectionRow, renewal: &Renewal) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE connections SET sealed = $1, scope = $2, issued_at = $3, expires_at = $4,
                         revision = $5, leased_until = 0, last_used_at = $3
                     WHERE principal_id = $6 AND origin_uid = $7 AND revision = $8",
                )
                .bind(&renewal.sealed)
                .bind(text(&renewal.scope))
                .bind(renewal.issued_at)
                .bind(renewal.expires_at)
                .bind(&renewal.revision)
                .bind(&row.principal_id)
                .bind(&row.origin_uid)
                .bind(&row.revision),
            )
            .await?;
        Ok(done == 1)
    }

    /// Marks a connection as dead. `false` if it has changed since `row` was read.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn mark_connection_dead(
        &self,
        row: &ConnectionRow,
        revision: &str,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE connections SET dead = 1, revision = $1, leased_until = 0
                     WHERE principal_id = $2 AND origin_uid = $3 AND revision = $4",
                )
                .bind(revision)
                .bind(&row.principal_id)
                .bind(&row.origin_uid)
                .bind(&row.revision),
            )
            .await?;
        Ok(done == 1)
    }

    /// Removes and returns a connection, and logs the change for all replicas.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn remove_connection(
        &self,
        principal_id: &str,
        origin_uid: &str,
        now: i64,
    ) -> Result<Option<ConnectionRow>, StoreError> {
        self.transaction(async |work| {
            let removed = sqlx::query_as(concat!(
                "DELETE FROM connections
                 WHERE principal_id = $1 AND origin_uid = $2
                 RETURNING ",
                connection_columns!()
            ))
            .bind(principal_id)
            .bind(origin_uid)
            .fetch_all(&mut *work)
            .await?
            .pop();
            if removed.is_some() {
                delete_step_up(work, principal_id, origin_uid).await?;
                log_connection_change(work, DISCONNECTED, principal_id, origin_uid, now).await?;
            }
            Ok(removed)
        })
        .await
    }

    /// Removes and returns one batch of connections, and logs the changes for all replicas. Call it until it
    /// returns none.
    ///
    /// # Errors
    /// When the database fails or does not respond in time. Connections that earlier calls returned stay
    /// removed.
    pub async fn remove_connections(
        &self,
        whose: ConnectionFilter<'_>,
        now: i64,
    ) -> Result<Vec<ConnectionRow>, StoreError> {
        macro_rules! of {
            ($condition:literal) => {
                concat!(
                    "DELETE FROM connections
                     WHERE (principal_id, origin_uid) IN (
                         SELECT principal_id, origin_uid FROM connections
                         WHERE ",
                    $condition,
                    " ORDER BY principal_id, origin_uid LIMIT $2)
                     RETURNING ",
                    connection_columns!()
                )
            };
        }
        let (statement, value) = match whose {
            ConnectionFilter::Person(id) => (of!("principal_id = $1"), id),
            ConnectionFilter::Origin(uid) => (of!("origin_uid = $1"), uid),
        };
        self.transaction(async |work| {
            let removed: Vec<ConnectionRow> =
                sqlx::query_as(statement).bind(value).bind(BATCH_SIZE).fetch_all(&mut *work).await?;
            for row in &removed {
                delete_step_up(work, &row.principal_id, &row.origin_uid).await?;
                log_connection_change(work, DISCONNECTED, &row.principal_id, &row.origin_uid, now).await?;
            }
            Ok(removed)
        })
        .await
    }

    /// Number of connections to an origin.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn count_connections_at(&self, origin_uid: &str) -> Result<i64, StoreError> {
        let count: Option<(i64,)> = self
            .row(sqlx::query_as("SELECT COUNT(*) FROM connections WHERE origin_uid = $1").bind(origin_uid))
            .await?;
        Ok(count.map_or(0, |(count,)| count))
    }

    /// Records a use of a connection, unless one was recorded at or after `unless_since`.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn touch_connection(
        &self,
        principal_id: &str,
        origin_uid: &str,
        now: i64,
        unless_since: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE connections SET last_used_at = $3
                 WHERE principal_id = $1 AND origin_uid = $2
                     AND (last_used_at IS NULL OR last_used_at < $4)",
            )
            .bind(principal_id)
            .bind(origin_uid)
            .bind(now)
            .bind(unless_since),
        )
        .await?;
        Ok(())
    }
}
