//! Pending authorization requests and sign-ins.

use crate::{Store, StoreError};

/// A pending authorization request.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PendingAuthorizationRow {
    /// Digest of the id in the consent page's URL.
    pub id: String,
    /// Digest of the browser to which the request is bound; `None` before the first approval.
    pub browser: Option<String>,
    /// The request, sealed.
    pub request: String,
    /// When it expires.
    pub expires_at: i64,
}

/// A pending sign-in at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SignInRow {
    /// Digest of `state`.
    pub id: String,
    /// Digest of the browser that must return with it.
    pub browser: String,
    /// Name of the identity provider.
    pub identity_provider: String,
    /// Nonce, PKCE verifier and return path, sealed.
    pub details: String,
    /// When it expires.
    pub expires_at: i64,
}

impl Store {
    /// Stores an authorization request.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn put_pending_authorization(&self, row: &PendingAuthorizationRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO pending_authorizations (id, browser, request, expires_at)
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(&row.id)
            .bind(row.browser.as_deref())
            .bind(&row.request)
            .bind(row.expires_at),
        )
        .await?;
        Ok(())
    }

    /// An authorization request that has not ended or expired.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn pending_authorization(
        &self,
        id: &str,
        now: i64,
    ) -> Result<Option<PendingAuthorizationRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT id, browser, request, expires_at
                 FROM pending_authorizations
                 WHERE id = $1 AND expires_at > $2",
            )
            .bind(id)
            .bind(now),
        )
        .await
    }

    /// Binds an authorization request to a browser. False if it is bound to another browser.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn bind_authorization(&self, id: &str, browser: &str) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE pending_authorizations SET browser = $1
                     WHERE id = $2 AND (browser IS NULL OR browser = $3)",
                )
                .bind(browser)
                .bind(id)
                .bind(browser),
            )
            .await?;
        Ok(done == 1)
    }

    /// Replaces the sealed content of an authorization request.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn update_pending_authorization(&self, id: &str, request: &str) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("UPDATE pending_authorizations SET request = $1 WHERE id = $2")
                .bind(request)
                .bind(id),
        )
        .await?;
        Ok(())
    }

    /// Ends an authorization request. True only for the first call, whose caller may respond to the client.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn finish_authorization(&self, id: &str) -> Result<bool, StoreError> {
        let done =
            self.execute(sqlx::query("DELETE FROM pending_authorizations WHERE id = $1").bind(id)).await?;
        Ok(done == 1)
    }

    /// Stores a pending sign-in.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn put_sign_in(&self, row: &SignInRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO sign_ins (id, browser, identity_provider, details, expires_at)
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&row.id)
            .bind(&row.browser)
            .bind(&row.identity_provider)
            .bind(&row.details)
            .bind(row.expires_at),
        )
        .await?;
        Ok(())
    }

    /// A pending sign-in of this browser. Does not remove it.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn sign_in(&self, id: &str, browser: &str, now: i64) -> Result<Option<SignInRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT id, browser, identity_provider, details, expires_at
                 FROM sign_ins
                 WHERE id = $1 AND browser = $2 AND expires_at > $3",
            )
            .bind(id)
            .bind(browser)
            .bind(now),
        )
        .await
    }

    /// Removes and returns a pending sign-in of this browser. Other browsers cannot remove it.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn take_sign_in(
        &self,
        id: &str,
        browser: &str,
        now: i64,
    ) -> Result<Option<SignInRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "DELETE FROM sign_ins
                 WHERE id = $1 AND browser = $2 AND expires_at > $3
                 RETURNING id, browser, identity_provider, details, expires_at",
            )
            .bind(id)
            .bind(browser)
            .bind(now),
        )
        .await
    }
}
