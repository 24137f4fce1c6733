//! The gateway's dynamic client registrations at origins' authorization servers.

use crate::columns::origin_client_columns;
use crate::{Store, StoreError};

/// A client registration of the gateway at an origin's authorization server (RFC 7591).
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct OriginClientRow {
    /// UID of the origin. Origins do not share registrations.
    pub origin_uid: String,
    /// Issuer of the authorization server.
    pub issuer: String,
    /// The registered redirect URI.
    pub redirect_uri: String,
    /// The issued client id.
    pub client_id: String,
    /// The issued client secret, sealed.
    pub sealed_secret: Option<String>,
    /// Client authentication method at the token endpoint.
    pub auth_method: String,
    /// When the secret expires, if it does.
    pub secret_expires_at: Option<i64>,
    /// Time of the registration.
    pub registered_at: i64,
}

impl Store {
    /// The gateway's registration at an authorization server.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn origin_client(
        &self,
        origin_uid: &str,
        issuer: &str,
        redirect_uri: &str,
    ) -> Result<Option<OriginClientRow>, StoreError> {
        self.row(
            sqlx::query_as(concat!(
                "SELECT ",
                origin_client_columns!(),
                " FROM origin_clients
                 WHERE origin_uid = $1 AND issuer = $2 AND redirect_uri = $3"
            ))
            .bind(origin_uid)
            .bind(issuer)
            .bind(redirect_uri),
        )
        .await
    }

    /// Stores a registration and replaces the previous one.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

    /// Deletes a registration that the authorization server has deleted. Keeps a newer one, which has another
    /// client id.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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
