//! The accounts of users at identity providers: the subject and the refresh token.

use crate::columns::provider_account_columns;
use crate::{Store, StoreError};

/// A user's account at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ProviderAccountRow {
    /// Id of the principal.
    pub principal: String,
    /// Name of the identity provider.
    pub identity_provider: String,
    /// Digest of the provider's name and its `sub` for this user.
    pub subject: String,
    /// The refresh token, sealed, if there is one.
    pub sealed: Option<String>,
    /// Digest of the provider's session in which the token was issued.
    pub provider_session: Option<String>,
    /// When the provider last described the user.
    pub renewed_at: i64,
    /// Changes with each refresh token. Used for compare-and-swap.
    pub revision: String,
    /// Until when one replica has the lease for renewing the token.
    pub leased_until: i64,
}

impl Store {
    /// Stores the account after a sign-in. A new refresh token replaces the previous one; without a new one
    /// the previous one stays.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn put_provider_account(&self, row: &ProviderAccountRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO provider_accounts (principal, identity_provider, subject, sealed, provider_session,
                     renewed_at, revision, leased_until)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
                 ON CONFLICT (principal) DO UPDATE SET subject = excluded.subject, renewed_at = excluded.renewed_at,
                     sealed = COALESCE(excluded.sealed, provider_accounts.sealed),
                     provider_session = CASE WHEN excluded.sealed IS NULL THEN provider_accounts.provider_session
                                             ELSE excluded.provider_session END,
                     revision = CASE WHEN excluded.sealed IS NULL THEN provider_accounts.revision
                                     ELSE excluded.revision END,
                     leased_until = CASE WHEN excluded.sealed IS NULL THEN provider_accounts.leased_until ELSE 0 END",
            )
            .bind(&row.principal)
            .bind(&row.identity_provider)
            .bind(&row.subject)
            .bind(row.sealed.as_deref())
            .bind(row.provider_session.as_deref())
            .bind(row.renewed_at)
            .bind(&row.revision),
        )
        .await?;
        Ok(())
    }

    /// The account of a principal.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn provider_account(&self, principal: &str) -> Result<Option<ProviderAccountRow>, StoreError> {
        self.row(
            sqlx::query_as(concat!(
                "SELECT ",
                provider_account_columns!(),
                " FROM provider_accounts
                 WHERE principal = $1"
            ))
            .bind(principal),
        )
        .await
    }

    /// Ids of the principals with this digest of provider and `sub`.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn principals_of_account(&self, subject: &str) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = self
            .rows(sqlx::query_as("SELECT principal FROM provider_accounts WHERE subject = $1").bind(subject))
            .await?;
        Ok(rows.into_iter().map(|(principal,)| principal).collect())
    }

    /// Takes the lease for renewing a refresh token until a time. `false` if another replica has it, or the
    /// token has changed.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn lease_provider_account(
        &self,
        row: &ProviderAccountRow,
        now: i64,
        until: i64,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE provider_accounts SET leased_until = $1
                     WHERE principal = $2 AND revision = $3 AND leased_until <= $4 AND sealed IS NOT NULL",
                )
                .bind(until)
                .bind(&row.principal)
                .bind(&row.revision)
                .bind(now),
            )
            .await?;
        Ok(done == 1)
    }

    /// Claims the renewal of a user's sign-in for one replica. `false` if it was renewed or claimed after
    /// `since`, or there is no refresh token.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn claim_sign_in_renewal(
        &self,
        principal: &str,
        now: i64,
        since: i64,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE provider_accounts SET asked_at = $1
                     WHERE principal = $2 AND sealed IS NOT NULL AND renewed_at <= $3
                         AND (asked_at IS NULL OR asked_at <= $3)",
                )
                .bind(now)
                .bind(principal)
                .bind(since),
            )
            .await?;
        Ok(done == 1)
    }

    /// When a user's sign-in was last renewed, or its renewal was last claimed. `None` if there is no refresh
    /// token.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn last_sign_in_renewal(&self, principal: &str) -> Result<Option<i64>, StoreError> {
        let row: Option<(i64, Option<i64>)> = self
            .row(
                sqlx::query_as(
                    "SELECT renewed_at, asked_at FROM provider_accounts
                     WHERE principal = $1 AND sealed IS NOT NULL",
                )
                .bind(principal),
            )
            .await?;
        Ok(row.map(|(renewed_at, asked_at)| renewed_at.max(asked_at.unwrap_or(i64::MIN))))
    }

    /// Releases a lease before it expires. `false` if the token was replaced or deleted meanwhile.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn release_provider_account(
        &self,
        row: &ProviderAccountRow,
        until: i64,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE provider_accounts SET leased_until = 0
                     WHERE principal = $1 AND revision = $2 AND leased_until = $3 AND sealed IS NOT NULL",
                )
                .bind(&row.principal)
                .bind(&row.revision)
                .bind(until),
            )
            .await?;
        Ok(done == 1)
    }

    /// Replaces a refresh token and ends the lease. `false` if the token was replaced or deleted meanwhile.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn renew_provider_account(
        &self,
        row: &ProviderAccountRow,
        sealed: &str,
        revision: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let done = self
            .execute(
                sqlx::query(
                    "UPDATE provider_accounts SET sealed = $1, revision = $2, renewed_at = $3, leased_until = 0
                     WHERE principal = $4 AND revision = $5 AND sealed IS NOT NULL",
                )
                .bind(sealed)
                .bind(revision)
                .bind(now)
                .bind(&row.principal)
                .bind(&row.revision),
            )
            .await?;
        Ok(done == 1)
    }

    /// Deletes a user's refresh token.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn clear_provider_token(&self, principal: &str) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("UPDATE provider_accounts SET sealed = NULL WHERE principal = $1").bind(principal),
        )
        .await?;
        Ok(())
    }

    /// Deletes the refresh tokens that were issued in a session of a provider.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn clear_provider_session_tokens(&self, provider_session: &str) -> Result<(), StoreError> {
        self.execute(
            sqlx::query("UPDATE provider_accounts SET sealed = NULL WHERE provider_session = $1")
                .bind(provider_session),
        )
        .await?;
        Ok(())
    }

    /// Deletes accounts that no provider has described since a time.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_provider_accounts(&self, renewed_before: i64) -> Result<(), StoreError> {
        self.prune(&[delete_batch!("provider_accounts", "principal", "renewed_at < $1")], renewed_before)
            .await
    }
}
