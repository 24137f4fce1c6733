//! What lies sealed, by the key that it was sealed under: how an envelope begins tells (seven characters, `PREFIX` of the keys).
//!
//! Sealing anew changes nothing but the envelope, and that only as long as it is still the one that was read: neither the
//! revision, by which a refresh that is under way recognizes its row, nor anything that others are told of.

use crate::{ConnectionRow, OriginClientRow, ProviderAccountRow, Store, StoreError};

/// How many rows one question brings.
const BATCH_SIZE: i64 = 100;

impl Store {
    /// Links whose tokens begin like this, in the order of person and origin, after a given one; not all at once. None means that
    /// there are no more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn connections_sealed(
        &self,
        beginning: &str,
        after: Option<&ConnectionRow>,
    ) -> Result<Vec<ConnectionRow>, StoreError> {
        let (person, origin) =
            after.map_or(("", ""), |row| (row.principal_id.as_str(), row.origin_uid.as_str()));
        self.rows(
            sqlx::query_as(
                "SELECT principal_id, origin_uid, origin_url, resource, issuer, token_endpoint,
                     revocation_endpoint, client_id, registration, auth_method, scope, sealed,
                     issued_at, expires_at, dead, revision, leased_until, connected_at, last_used_at
                 FROM connections
                 WHERE substr(sealed, 1, 7) = $1 AND (principal_id, origin_uid) > ($2, $3)
                 ORDER BY principal_id, origin_uid LIMIT $4",
            )
            .bind(beginning)
            .bind(person)
            .bind(origin)
            .bind(BATCH_SIZE),
        )
        .await
    }

    /// Puts another envelope in place of the one in `row`; `false` where that is not there any more.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// The same for the gateway's registrations at authorization servers, by their secrets.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn origin_clients_sealed(
        &self,
        beginning: &str,
        after: Option<&OriginClientRow>,
    ) -> Result<Vec<OriginClientRow>, StoreError> {
        let (origin, issuer, redirect_uri) = after.map_or(("", "", ""), |row| {
            (row.origin_uid.as_str(), row.issuer.as_str(), row.redirect_uri.as_str())
        });
        self.rows(
            sqlx::query_as(
                "SELECT origin_uid, issuer, redirect_uri, client_id, sealed_secret, auth_method,
                     secret_expires_at, registered_at
                 FROM origin_clients
                 WHERE substr(sealed_secret, 1, 7) = $1
                     AND (origin_uid, issuer, redirect_uri) > ($2, $3, $4)
                 ORDER BY origin_uid, issuer, redirect_uri LIMIT $5",
            )
            .bind(beginning)
            .bind(origin)
            .bind(issuer)
            .bind(redirect_uri)
            .bind(BATCH_SIZE),
        )
        .await
    }

    /// As [`reseal_connection`](Self::reseal_connection).
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// The same for people's accounts at their identity providers.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn provider_accounts_sealed(
        &self,
        beginning: &str,
        after: Option<&ProviderAccountRow>,
    ) -> Result<Vec<ProviderAccountRow>, StoreError> {
        self.rows(
            sqlx::query_as(
                "SELECT principal, identity_provider, subject, sealed, provider_session, renewed_at, revision,
                     leased_until
                 FROM provider_accounts
                 WHERE substr(sealed, 1, 7) = $1 AND principal > $2
                 ORDER BY principal LIMIT $3",
            )
            .bind(beginning)
            .bind(after.map_or("", |row| row.principal.as_str()))
            .bind(BATCH_SIZE),
        )
        .await
    }

    /// As [`reseal_connection`](Self::reseal_connection).
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// Whether anything lies here that only the keys it was sealed under can open.
    ///
    /// # Errors
    /// When the database does not answer.
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
