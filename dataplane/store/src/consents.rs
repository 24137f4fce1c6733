//! Consents: the users' approvals of clients.

use crate::text::key;
use crate::{Store, StoreError};

/// A user's approval of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent<'a> {
    /// Id of the principal.
    pub principal: &'a str,
    /// The client.
    pub client_id: &'a str,
    /// The client's redirect URI, without the port if it is a loopback URI.
    pub redirect_uri: &'a str,
    /// UID of the route.
    pub route_uid: &'a str,
    /// The approved scope.
    pub scope: &'a str,
}

impl Store {
    /// Whether this exact consent is stored.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn has_consent(&self, consent: &Consent<'_>) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = self
            .row(
                sqlx::query_as(
                    "SELECT approved_at
                     FROM consents
                     WHERE principal = $1 AND client_id = $2 AND redirect_uri = $3 AND route_uid = $4
                         AND scope = $5",
                )
                .bind(consent.principal)
                .bind(key(consent.client_id))
                .bind(key(consent.redirect_uri))
                .bind(consent.route_uid)
                .bind(key(consent.scope)),
            )
            .await?;
        Ok(found.is_some())
    }

    /// Stores a consent.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn consent(&self, consent: &Consent<'_>, now: i64) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO consents (principal, client_id, redirect_uri, route_uid, scope,
                     approved_at)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (principal, client_id, redirect_uri, route_uid, scope)
                 DO UPDATE SET approved_at = excluded.approved_at",
            )
            .bind(consent.principal)
            .bind(key(consent.client_id))
            .bind(key(consent.redirect_uri))
            .bind(consent.route_uid)
            .bind(key(consent.scope))
            .bind(now),
        )
        .await?;
        Ok(())
    }

    /// Withdraws a consent, so the user is asked again next time.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn withdraw_consent(&self, consent: &Consent<'_>) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "DELETE FROM consents
                 WHERE principal = $1 AND client_id = $2 AND redirect_uri = $3 AND route_uid = $4
                     AND scope = $5",
            )
            .bind(consent.principal)
            .bind(key(consent.client_id))
            .bind(key(consent.redirect_uri))
            .bind(consent.route_uid)
            .bind(key(consent.scope)),
        )
        .await?;
        Ok(())
    }

    /// Withdraws all consents of a user.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn withdraw_principal_consents(&self, principal: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM consents WHERE principal = $1").bind(principal)).await?;
        Ok(())
    }

    /// Withdraws the consents of all users for a client.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn withdraw_client_consents(&self, client_id: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM consents WHERE client_id = $1").bind(key(client_id))).await?;
        Ok(())
    }

    /// Withdraws a user's consents for a client and a route, with any redirect URI.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn withdraw_grant_consents(
        &self,
        principal: &str,
        client_id: &str,
        route_uid: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("DELETE FROM consents WHERE principal = $1 AND client_id = $2 AND route_uid = $3")
                .bind(principal)
                .bind(key(client_id))
                .bind(route_uid),
        )
        .await?;
        Ok(())
    }
}
