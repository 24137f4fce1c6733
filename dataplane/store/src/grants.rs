//! Codes, the grants that they are redeemed for, and the grants' refresh tokens. Secrets are known by their digest alone; every
//! single use is a compare-and-swap whose affected rows name the winner.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};

use crate::text::text;
use crate::{Store, StoreError};

/// An authorization code that was sent to a client.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CodeRow {
    /// Digest of the code.
    pub digest: String,
    /// Who approved.
    pub principal: String,
    /// Whose it is.
    pub client_id: String,
    /// The client's own name.
    pub client_name: String,
    /// Issuer identifier; it can be redeemed there only.
    pub issuer: String,
    /// UID of the route.
    pub route_uid: String,
    /// URL of the route.
    pub resource: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// PKCE, S256.
    pub code_challenge: String,
    /// What was approved.
    pub scope: String,
    /// When it can no longer be redeemed.
    pub expires_at: i64,
    /// When it was presented; it counts once.
    pub consumed_at: Option<i64>,
    /// What it was redeemed for.
    pub grant_id: Option<String>,
    /// Digest of the identity provider's session in which it was approved, where that is known.
    pub provider_session: Option<String>,
}

/// What a client may do on a person's behalf.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct GrantRow {
    /// What access tokens and the log of revocations name.
    pub id: String,
    /// Whose.
    pub principal: String,
    /// For which client.
    pub client_id: String,
    /// The client's own name.
    pub client_name: String,
    /// Issuer identifier.
    pub issuer: String,
    /// UID of the route.
    pub route_uid: String,
    /// URL of the route.
    pub resource: String,
    /// What was approved.
    pub scope: String,
    /// When it began.
    pub created_at: i64,
    /// When it ends, however often it is refreshed.
    pub expires_at: i64,
    /// When it was ended before that.
    pub revoked_at: Option<i64>,
    /// Digest of the identity provider's session in which it was approved, where that is known.
    pub provider_session: Option<String>,
}

/// One refresh token of a grant's family.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct RefreshTokenRow {
    /// Digest of the token.
    pub digest: String,
    /// Whose family.
    pub grant_id: String,
    /// The token that it was given for.
    pub predecessor: Option<String>,
    /// When it was given.
    pub issued_at: i64,
    /// When it was first used.
    pub consumed_at: Option<i64>,
}

impl Store {
    /// Stores a code that is about to be sent to its client.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_code(&self, row: &CodeRow) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO codes (digest, principal, client_id, client_name, issuer, route_uid,
                     resource, redirect_uri, code_challenge, scope, expires_at, provider_session)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(&row.digest)
            .bind(&row.principal)
            .bind(&row.client_id)
            .bind(text(&row.client_name))
            .bind(&row.issuer)
            .bind(&row.route_uid)
            .bind(&row.resource)
            .bind(&row.redirect_uri)
            .bind(&row.code_challenge)
            .bind(&row.scope)
            .bind(row.expires_at)
            .bind(row.provider_session.as_deref()),
        )
        .await?;
        Ok(())
    }

    /// A code, used or not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn code(&self, digest: &str) -> Result<Option<CodeRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT digest, principal, client_id, client_name, issuer, route_uid, resource,
                     redirect_uri, code_challenge, scope, expires_at, consumed_at, grant_id,
                     provider_session
                 FROM codes
                 WHERE digest = $1",
            )
            .bind(digest),
        )
        .await
    }

    /// Uses a code up without giving anything for it. Returns whether it had not been used.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn invalidate_code(&self, digest: &str, now: i64) -> Result<bool, StoreError> {
        let spoiled = self
            .execute(
                sqlx::query("UPDATE codes SET consumed_at = $2 WHERE digest = $1 AND consumed_at IS NULL")
                    .bind(digest)
                    .bind(now),
            )
            .await?;
        Ok(spoiled > 0)
    }

    /// Redeems a code for a grant and its first refresh token, all or nothing. Returns `false`, and changes nothing, when the
    /// code had been used.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn redeem_code(
        &self,
        digest: &str,
        grant: &GrantRow,
        refresh_digest: &str,
    ) -> Result<bool, StoreError> {
        self.transaction(async |work| {
            let won = sqlx::query(
                "UPDATE codes SET consumed_at = $2, grant_id = $3
                 WHERE digest = $1 AND consumed_at IS NULL",
            )
            .bind(digest)
            .bind(grant.created_at)
            .bind(&grant.id)
            .execute(&mut *work)
            .await?
            .rows_affected()
                > 0;
            if !won {
                return Ok(false);
            }
            insert_grant(grant).execute(&mut *work).await?;
            sqlx::query("INSERT INTO refresh_tokens (digest, grant_id, issued_at) VALUES ($1, $2, $3)")
                .bind(refresh_digest)
                .bind(&grant.id)
                .bind(grant.created_at)
                .execute(&mut *work)
                .await?;
            Ok(true)
        })
        .await
    }

    /// Stores a grant that has no refresh token: it ends with its access token.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_grant(&self, grant: &GrantRow) -> Result<(), StoreError> {
        self.execute(insert_grant(grant)).await?;
        Ok(())
    }

    /// A grant, ended or not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn grant(&self, id: &str) -> Result<Option<GrantRow>, StoreError> {
        // A stranger's word, which PostgreSQL may not even be able to compare.
        if id.contains('\0') {
            return Ok(None);
        }
        self.row(
            sqlx::query_as(
                "SELECT id, principal, client_id, client_name, issuer, route_uid, resource, scope,
                     created_at, expires_at, revoked_at, provider_session
                 FROM grants
                 WHERE id = $1",
            )
            .bind(id),
        )
        .await
    }

    /// A refresh token, used or not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn refresh_token(&self, digest: &str) -> Result<Option<RefreshTokenRow>, StoreError> {
        self.row(
            sqlx::query_as(
                "SELECT digest, grant_id, predecessor, issued_at, consumed_at
                 FROM refresh_tokens
                 WHERE digest = $1",
            )
            .bind(digest),
        )
        .await
    }

    /// Gives a successor for a refresh token that has not been used, in a grant that has not ended. Returns whether it did.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rotate_refresh_token(
        &self,
        used: &RefreshTokenRow,
        successor: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        self.transaction(async |work| {
            if !lock_grant(work, &used.grant_id).await? {
                return Ok(false);
            }
            let won = sqlx::query(
                "UPDATE refresh_tokens SET consumed_at = $2 WHERE digest = $1 AND consumed_at IS NULL",
            )
            .bind(&used.digest)
            .bind(now)
            .execute(&mut *work)
            .await?
            .rows_affected()
                > 0;
            if won {
                sqlx::query(
                    "INSERT INTO refresh_tokens (digest, grant_id, predecessor, issued_at)
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(successor)
                .bind(&used.grant_id)
                .bind(&used.digest)
                .bind(now)
                .execute(&mut *work)
                .await?;
            }
            Ok(won)
        })
        .await
    }

    /// Gives one more successor for a refresh token that was used at or after `since`, none of whose successors has been used,
    /// in a grant that has not ended. Returns whether it did.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn branch_refresh_token(
        &self,
        used: &RefreshTokenRow,
        successor: &str,
        since: i64,
        now: i64,
    ) -> Result<bool, StoreError> {
        self.transaction(async |work| {
            if !lock_grant(work, &used.grant_id).await? {
                return Ok(false);
            }
            let given = sqlx::query(
                "INSERT INTO refresh_tokens (digest, grant_id, predecessor, issued_at)
                 SELECT $1, used.grant_id, used.digest, $2 FROM refresh_tokens used
                 WHERE used.digest = $3 AND used.consumed_at >= $4
                     AND NOT EXISTS (SELECT 1 FROM refresh_tokens next
                                     WHERE next.predecessor = used.digest AND next.consumed_at IS NOT NULL)",
            )
            .bind(successor)
            .bind(now)
            .bind(&used.digest)
            .bind(since)
            .execute(work)
            .await?;
            Ok(given.rows_affected() > 0)
        })
        .await
    }

    /// Forgets codes that expired, grants that ended, and refresh tokens that were used, all before a time of its own. What is
    /// forgotten is refused like what never was; only that it was stolen can no longer be told.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_grants(&self, ended_before: i64, used_before: i64) -> Result<(), StoreError> {
        self.prune(
            &[
                delete_batch!("codes", "digest", "expires_at < $1"),
                // Refresh tokens go with their grant.
                delete_batch!("grants", "id", "(expires_at < $1 OR revoked_at < $1)"),
            ],
            ended_before,
        )
        .await?;
        self.prune(&[delete_batch!("refresh_tokens", "digest", "consumed_at < $1")], used_before).await
    }
}

/// The statement that stores a grant.
fn insert_grant(grant: &GrantRow) -> Query<'_, Any, AnyArguments> {
    sqlx::query(
        "INSERT INTO grants (id, principal, client_id, client_name, issuer, route_uid,
             resource, scope, created_at, expires_at, provider_session)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&grant.id)
    .bind(&grant.principal)
    .bind(&grant.client_id)
    .bind(text(&grant.client_name))
    .bind(&grant.issuer)
    .bind(&grant.route_uid)
    .bind(&grant.resource)
    .bind(&grant.scope)
    .bind(grant.created_at)
    .bind(grant.expires_at)
    .bind(grant.provider_session.as_deref())
}

/// Holds a grant that has not ended until the end of the transaction, so that nobody ends it meanwhile, and nobody else gives
/// successors in its family. `false` when it has ended.
async fn lock_grant(work: &mut AnyConnection, id: &str) -> Result<bool, sqlx::Error> {
    let held = sqlx::query("UPDATE grants SET revoked_at = NULL WHERE id = $1 AND revoked_at IS NULL")
        .bind(id)
        .execute(work)
        .await?;
    Ok(held.rows_affected() > 0)
}
