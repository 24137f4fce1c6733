use crate::text::key;
use crate::{Store, StoreError};

/// A person's approval of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent<'a> {
    /// Whose, as a principal's id.
    pub principal: &'a str,
    /// Of which client.
    pub client_id: &'a str,
    /// To be sent where; without the port where it is this very machine.
    pub redirect_uri: &'a str,
    /// For which route.
    pub route_uid: &'a str,
    /// For what.
    pub scope: &'a str,
}

impl Store {
    /// Whether exactly this has been approved.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// Keeps an approval.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// Takes an approval back: somebody who says no is asked again next time.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// Takes back all approvals of a person, so that every client is asked about again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn withdraw_principal_consents(&self, principal: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM consents WHERE principal = $1").bind(principal)).await?;
        Ok(())
    }

    /// Takes back everybody's approvals of a client.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn withdraw_client_consents(&self, client_id: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM consents WHERE client_id = $1").bind(key(client_id))).await?;
        Ok(())
    }

    /// Takes back a person's approvals of a client for a route, wherever it is sent.
    ///
    /// # Errors
    /// When the database does not answer.
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
