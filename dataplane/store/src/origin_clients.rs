use crate::{Store, StoreError};

/// The gateway as a dynamically registered client of an origin's authorization server.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct OriginClientRow {
    /// For which origin: registrations are not shared.
    pub origin_uid: String,
    /// At which authorization server.
    pub issuer: String,
    /// With which redirect URI.
    pub redirect_uri: String,
    /// The id that it was given.
    pub client_id: String,
    /// The secret that it was given, sealed.
    pub sealed_secret: Option<String>,
    /// How it authenticates at the token endpoint.
    pub auth_method: String,
    /// When the secret expires, where it does.
    pub secret_expires_at: Option<i64>,
    /// When it was registered.
    pub registered_at: i64,
}

impl Store {
    /// The gateway's registration at an authorization server.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn origin_client(
        &self,
        origin_uid: &str,
        issuer: &str,
        redirect_uri: &str,
    ) -> Result<Option<OriginClientRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT origin_uid, issuer, redirect_uri, client_id, sealed_secret, auth_method,
                     secret_expires_at, registered_at
                 FROM origin_clients
                 WHERE origin_uid = $1 AND issuer = $2 AND redirect_uri = $3",
            )
            .bind(origin_uid)
            .bind(issuer)
            .bind(redirect_uri),
        )
        .await
    }

    /// Keeps a registration in place of the one before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_origin_client(&self, row: &OriginClientRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO origin_clients (origin_uid, issuer, redirect_uri, client_id,
                     sealed_secret, auth_method, secret_expires_at, registered_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (origin_uid, issuer, redirect_uri)
                 DO UPDATE SET client_id = excluded.client_id,
                     sealed_secret = excluded.sealed_secret, auth_method = excluded.auth_method,
                     secret_expires_at = excluded.secret_expires_at,
                     registered_at = excluded.registered_at",
            )
            .bind(&row.origin_uid)
            .bind(&row.issuer)
            .bind(&row.redirect_uri)
            .bind(&row.client_id)
            .bind(&row.sealed_secret)
            .bind(&row.auth_method)
            .bind(row.secret_expires_at)
            .bind(row.registered_at),
        )
        .await?;
        Ok(())
    }

    /// Forgets a registration that the authorization server no longer knows, and no newer one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_origin_client(
        &self,
        origin_uid: &str,
        issuer: &str,
        client_id: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "DELETE FROM origin_clients WHERE origin_uid = $1 AND issuer = $2 AND client_id = $3",
            )
            .bind(origin_uid)
            .bind(issuer)
            .bind(client_id),
        )
        .await?;
        Ok(())
    }
}
