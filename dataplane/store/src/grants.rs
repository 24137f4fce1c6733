//! Authorization codes, grants, and refresh tokens. Only digests of secrets are stored. Single use is
//! enforced by compare-and-swap: the caller whose statement affects a row wins.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};

use crate::columns::grant_columns;
use crate::text::text;
use crate::{Store, StoreError};

/// Maximum number of unused refresh tokens of a grant: so many processes of a client may share one token.
pub const MAX_UNUSED_REFRESH_TOKENS: i64 = 16;

/// An authorization code.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CodeRow {
    /// Digest of the code.
    pub digest: String,
    /// Id of the principal who approved.
    pub principal: String,
    /// The client to which the code was issued.
    pub client_id: String,
    /// The client's name for itself.
    pub client_name: String,
    /// Issuer identifier. The code can be redeemed only there.
    pub issuer: String,
    /// UID of the route.
    pub route_uid: String,
    /// URL of the route.
    pub resource: String,
    /// The redirect URI of the request.
    pub redirect_uri: String,
    /// PKCE, S256.
    pub code_challenge: String,
    /// The approved scope.
    pub scope: String,
    /// When the code expires.
    pub expires_at: i64,
    /// When the code was used, if it was.
    pub consumed_at: Option<i64>,
    /// The grant for which it was redeemed.
    pub grant_id: Option<String>,
    /// Digest of the session at the identity provider in which it was approved, if known.
    pub provider_session: Option<String>,
}

/// A client's permission to act on a user's behalf.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct GrantRow {
    /// Id in access tokens and in the revocation log.
    pub id: String,
    /// Id of the principal.
    pub principal: String,
    /// The client.
    pub client_id: String,
    /// The client's name for itself.
    pub client_name: String,
    /// Issuer identifier.
    pub issuer: String,
    /// UID of the route.
    pub route_uid: String,
    /// URL of the route.
    pub resource: String,
    /// The approved scope.
    pub scope: String,
    /// When it was created.
    pub created_at: i64,
    /// When it expires. Refreshing does not extend it.
    pub expires_at: i64,
    /// When it was revoked, if it was.
    pub revoked_at: Option<i64>,
    /// Digest of the session at the identity provider in which it was approved, if known.
    pub provider_session: Option<String>,
}

/// One refresh token of a grant's family.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct RefreshTokenRow {
    /// Digest of the token.
    pub digest: String,
    /// The grant to whose family it belongs.
    pub grant_id: String,
    /// Digest of the refresh token that it replaced.
    pub predecessor: Option<String>,
    /// When it was issued.
    pub issued_at: i64,
    /// When it was first used, if it was.
    pub consumed_at: Option<i64>,
}

impl Store {
    /// Stores a code before it is sent to its client.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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
    /// When the database fails or does not respond in time.
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

    /// Marks a code as used without issuing a grant. Returns whether it was unused.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

    /// Redeems a code for a grant and its first refresh token, in one transaction. Returns `false` and
    /// changes nothing if the code was already used.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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
            mark_client_granted(&grant.client_id).execute(&mut *work).await?;
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

    /// Stores a grant without a refresh token. It ends when its access token expires.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn add_grant(&self, grant: &GrantRow) -> Result<(), StoreError> {
        self.transaction(async |work| {
            insert_grant(grant).execute(&mut *work).await?;
            mark_client_granted(&grant.client_id).execute(work).await?;
            Ok(())
        })
        .await
    }

    /// A grant, whether it has ended or not.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn grant(&self, id: &str) -> Result<Option<GrantRow>, StoreError> {
        // The id is untrusted, and PostgreSQL rejects U+0000.
        if id.contains('\0') {
            return Ok(None);
        }
        self.row(
            sqlx::query_as(concat!(
                "SELECT ",
                grant_columns!(),
                " FROM grants
                 WHERE id = $1"
            ))
            .bind(id),
        )
        .await
    }

    /// A refresh token, used or not.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

    /// Stores a successor of an unused refresh token of a grant that has not ended. Returns whether it did.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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

    /// Stores another successor of a refresh token of a grant that has not ended, if the token was used at or
    /// after `since`, none of its successors has been used, and the grant has fewer than
    /// [`MAX_UNUSED_REFRESH_TOKENS`] unused tokens. Returns whether it did.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
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
                                     WHERE next.predecessor = used.digest AND next.consumed_at IS NOT NULL)
                     AND (SELECT COUNT(*) FROM refresh_tokens unused
                          WHERE unused.grant_id = used.grant_id AND unused.consumed_at IS NULL) < $5",
            )
            .bind(successor)
            .bind(now)
            .bind(&used.digest)
            .bind(since)
            .bind(MAX_UNUSED_REFRESH_TOKENS)
            .execute(work)
            .await?;
            Ok(given.rows_affected() > 0)
        })
        .await
    }

    /// Number of unused refresh tokens of a grant.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn unused_refresh_tokens(&self, grant_id: &str) -> Result<i64, StoreError> {
        let count: Option<(i64,)> = self
            .row(
                sqlx::query_as(
                    "SELECT COUNT(*) FROM refresh_tokens WHERE grant_id = $1 AND consumed_at IS NULL",
                )
                .bind(grant_id),
            )
            .await?;
        Ok(count.map_or(0, |(count,)| count))
    }

    /// Whether a successor of a refresh token was used.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn has_used_successor(&self, token: &RefreshTokenRow) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = self
            .row(
                sqlx::query_as(
                    "SELECT consumed_at FROM refresh_tokens
                     WHERE predecessor = $1 AND consumed_at IS NOT NULL
                     LIMIT 1",
                )
                .bind(&token.digest),
            )
            .await?;
        Ok(found.is_some())
    }

    /// Whether another successor of the same token was used before `used_before`. An unused token has then
    /// ended: its client has gone on with the other one.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn is_refresh_token_superseded(
        &self,
        token: &RefreshTokenRow,
        used_before: i64,
    ) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = self
            .row(
                sqlx::query_as(
                    "SELECT consumed_at FROM refresh_tokens
                     WHERE predecessor = $1 AND digest <> $2 AND consumed_at < $3
                     LIMIT 1",
                )
                .bind(token.predecessor.as_deref())
                .bind(&token.digest)
                .bind(used_before),
            )
            .await?;
        Ok(found.is_some())
    }

    /// Deletes unused refresh tokens that [were superseded](Self::is_refresh_token_superseded). Call it before
    /// [`prune_grants`](Self::prune_grants), which deletes the used ones that superseded them.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_superseded_refresh_tokens(&self, used_before: i64) -> Result<(), StoreError> {
        let statement = delete_batch!(
            "refresh_tokens",
            "digest",
            "consumed_at IS NULL
             AND EXISTS (SELECT 1 FROM refresh_tokens sibling
                         WHERE sibling.predecessor = refresh_tokens.predecessor AND sibling.consumed_at < $1)"
        );
        self.prune(&[statement], used_before).await
    }

    /// Deletes codes and grants that ended before `ended_before`, and refresh tokens that were used before
    /// `used_before`. Deleted tokens are rejected like unknown ones, but their reuse is no longer detected as
    /// theft.
    ///
    /// # Errors
    /// When the database fails or does not respond in time.
    pub async fn prune_grants(&self, ended_before: i64, used_before: i64) -> Result<(), StoreError> {
        self.prune(
            &[
                delete_batch!("codes", "digest", "expires_at < $1"),
                // The refresh tokens of a grant are deleted with it.
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

/// The statement that records that a registered client has had a grant. It is then kept longer.
fn mark_client_granted(client_id: &str) -> Query<'_, Any, AnyArguments> {
    sqlx::query("UPDATE clients SET registered_from = NULL WHERE id = $1 AND registered_from IS NOT NULL")
        .bind(client_id)
}

/// Locks the row of a grant until the end of the transaction. Meanwhile it cannot be revoked, and no other
/// transaction can add refresh tokens to its family. `false` if it has ended.
async fn lock_grant(work: &mut AnyConnection, id: &str) -> Result<bool, sqlx::Error> {
    let held = sqlx::query("UPDATE grants SET revoked_at = NULL WHERE id = $1 AND revoked_at IS NULL")
        .bind(id)
        .execute(work)
        .await?;
    Ok(held.rows_affected() > 0)
}
