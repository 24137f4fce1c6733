use crate::{Store, StoreError};

/// An authorization request that waits for its user.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PendingAuthorizationRow {
    /// Digest of the id that the browser shows.
    pub id: String,
    /// Digest of the browser that has taken it up; nobody's yet where absent.
    pub browser: Option<String>,
    /// The request, sealed.
    pub request: String,
    /// Until when it can be answered.
    pub expires_at: i64,
}

/// A sign-in that is under way at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SignInRow {
    /// Digest of `state`.
    pub id: String,
    /// Digest of the browser that must come back with it.
    pub browser: String,
    /// Where the person was sent.
    pub identity_provider: String,
    /// Nonce, PKCE verifier and where to go on, sealed.
    pub details: String,
    /// Until when.
    pub expires_at: i64,
}

impl Store {
    /// Keeps an authorization request.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// An authorization request that can still be answered.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// Binds an authorization request to the browser that takes it up. False where another browser was first.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// Changes what an authorization request asks for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn update_pending_authorization(&self, id: &str, request: &str) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("UPDATE pending_authorizations SET request = $1 WHERE id = $2")
                .bind(request)
                .bind(id),
        )
        .await?;
        Ok(())
    }

    /// Ends an authorization request. True for the one caller who may answer the client.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn finish_authorization(&self, id: &str) -> Result<bool, StoreError> {
        let done =
            self.execute(sqlx::query("DELETE FROM pending_authorizations WHERE id = $1").bind(id)).await?;
        Ok(done == 1)
    }

    /// Keeps a sign-in that has been begun.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// A sign-in of this browser, without taking it.
    ///
    /// # Errors
    /// When the database does not answer.
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

    /// Takes a sign-in of this browser: once. Another browser cannot even use it up.
    ///
    /// # Errors
    /// When the database does not answer.
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
