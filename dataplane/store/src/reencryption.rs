//! Finds and replaces sealed envelopes by the key that sealed them. The first seven characters of an envelope
//! identify the key (`PREFIX` in the key ring).
//!
//! Reencryption replaces only the envelope, and only if it is unchanged since it was read. The revision
//! stays, because a concurrent token refresh compares it. Nothing is logged for other replicas.

use crate::columns::{connection_columns, origin_client_columns, provider_account_columns};
use crate::{ConnectionRow, OriginClientRow, ProviderAccountRow, Store, StoreError};

/// Rows per query.
const BATCH_SIZE: i64 = 100;

impl Store {
    /// One batch of connections whose envelope begins with `beginning`, after a given one, sorted by
    /// principal and origin. An empty result means that there are no more.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn connections_sealed(
        &self,
        beginning: &str,
        after: Option<&ConnectionRow>,
    ) -> Result<Vec<ConnectionRow>, StoreError> {
        let (person, origin) =
            after.map_or(("", ""), |row| (row.principal_id.as_str(), row.origin_uid.as_str()));
        self.rows(
            sqlx::query_as(concat!(
                "SELECT ",
                connection_columns!(),
                " FROM connections
                 WHERE substr(sealed, 1, 7) = $1 AND (principal_id, origin_uid) > ($2, $3)
                 ORDER BY principal_id, origin_uid LIMIT $4"
            ))
            .bind(beginning)
            .bind(person)
            .bind(origin)
            .bind(BATCH_SIZE),
        )
        .await
    }

    /// Replaces the envelope in `row`. `false` if it has changed meanwhile.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn reencrypt_connection(&self, row: &ConnectionRow, sealed: &str) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE connections SET sealed = $1
                     WHERE principal_id = $2 AND origin_uid = $3 AND sealed = $4",
                )
                .bind(sealed)
                .bind(&row.principal_id)
                .bind(&row.origin_uid)
                .bind(&row.sealed),
            )
            .await?;
        Ok(done == 1)
    }

    /// Like [`connections_sealed`](Self::connections_sealed), for the client secrets of the gateway's
    /// registrations.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn origin_clients_sealed(
        &self,
        beginning: &str,
        after: Option<&OriginClientRow>,
    ) -> Result<Vec<OriginClientRow>, StoreError> {
        let (origin, issuer, redirect_uri) = after.map_or(("", "", ""), |row| {
            (row.origin_uid.as_str(), row.issuer.as_str(), row.redirect_uri.as_str())
        });
        self.rows(
            sqlx::query_as(concat!(
                "SELECT ",
                origin_client_columns!(),
                " FROM origin_clients
                 WHERE substr(sealed_secret, 1, 7) = $1
                     AND (origin_uid, issuer, redirect_uri) > ($2, $3, $4)
                 ORDER BY origin_uid, issuer, redirect_uri LIMIT $5"
            ))
            .bind(beginning)
            .bind(origin)
            .bind(issuer)
            .bind(redirect_uri)
            .bind(BATCH_SIZE),
        )
        .await
    }

    /// Like [`reencrypt_connection`](Self::reencrypt_connection).
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn reencrypt_origin_client(
        &self,
        row: &OriginClientRow,
        sealed: &str,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE origin_clients SET sealed_secret = $1
                     WHERE origin_uid = $2 AND issuer = $3 AND redirect_uri = $4 AND sealed_secret = $5",
                )
                .bind(sealed)
                .bind(&row.origin_uid)
                .bind(&row.issuer)
                .bind(&row.redirect_uri)
                .bind(&row.sealed_secret),
            )
            .await?;
        Ok(done == 1)
    }

    /// Like [`connections_sealed`](Self::connections_sealed), for the refresh tokens of identity providers.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn provider_accounts_sealed(
        &self,
        beginning: &str,
        after: Option<&ProviderAccountRow>,
    ) -> Result<Vec<ProviderAccountRow>, StoreError> {
        self.rows(
            sqlx::query_as(concat!(
                "SELECT ",
                provider_account_columns!(),
                " FROM provider_accounts
                 WHERE substr(sealed, 1, 7) = $1 AND principal > $2
                 ORDER BY principal LIMIT $3"
            ))
            .bind(beginning)
            .bind(after.map_or("", |row| row.principal.as_str()))
            .bind(BATCH_SIZE),
        )
        .await
    }

    /// Like [`reencrypt_connection`](Self::reencrypt_connection).
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn reencrypt_provider_account(
        &self,
        row: &ProviderAccountRow,
        sealed: &str,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query("UPDATE provider_accounts SET sealed = $1 WHERE principal = $2 AND sealed = $3")
                    .bind(sealed)
                    .bind(&row.principal)
                    .bind(row.sealed.as_deref()),
            )
            .await?;
        Ok(done == 1)
    }

    /// Whether the database contains sealed envelopes, which only the keys that sealed them can open.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn has_sealed_rows(&self) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = self
            .row(sqlx::query_as(
                "SELECT COUNT(*) FROM (
                     SELECT sealed AS envelope FROM connections
                     UNION ALL
                     SELECT sealed_secret AS envelope FROM origin_clients WHERE sealed_secret IS NOT NULL
                     UNION ALL
                     SELECT sealed AS envelope FROM provider_accounts WHERE sealed IS NOT NULL
                     LIMIT 1) AS envelopes",
            ))
            .await?;
        Ok(row.is_some_and(|(count,)| count > 0))
    }
}
