//! `grant_type=refresh_token` (RFC 6749, section 6), with rotation (OAuth 2.1, section 4.3.1).
//!
//! Every refresh token is valid once and is replaced by a successor. Real clients break this rule without bad
//! intent: several processes share one token, or a response is lost. So within a grace period a used token
//! gets another successor, unless a successor was already used. After that, the old token is treated as
//! stolen and its reuse revokes the whole grant.
//!
//! A thief may use the grace period too. So the number of successors is bounded, the event of the request says
//! that the token was repeated, and once one successor has been used, the others end with the grace period.

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::Clock;
use portcullis_policy::PrincipalId;
use portcullis_rate_limit::KeyedRateLimit;
use portcullis_store::{GrantRow, MAX_UNUSED_REFRESH_TOKENS, RefreshTokenRow, Store};

use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};
use crate::issue_token::TokenIssuer;
use crate::renewal::SignInStatus;
use crate::{GrantRevocation, SignInRenewal};
use portcullis_keyring::digest;

/// How long a used refresh token may be used again.
pub(crate) const REUSE_GRACE_PERIOD: Duration = Duration::from_secs(45);

/// Refreshes of one grant: burst, and rate per second. Each adds a row that is kept for a week.
const REFRESH_LIMIT: (u32, u32) = (60, 1);

/// Exchanges refresh tokens for new tokens.
pub(super) struct RefreshGrant {
    store: Store,
    clock: Clock,
    tokens: Arc<TokenIssuer>,
    sign_ins: Arc<SignInRenewal>,
    revocation: Arc<GrantRevocation>,
    limit: KeyedRateLimit,
}

impl RefreshGrant {
    pub(super) fn new(
        store: Store,
        clock: Clock,
        tokens: Arc<TokenIssuer>,
        sign_ins: Arc<SignInRenewal>,
        revocation: Arc<GrantRevocation>,
    ) -> Self {
        let limit = KeyedRateLimit::new(REFRESH_LIMIT);
        Self { store, clock, tokens, sign_ins, revocation, limit }
    }

    pub(super) async fn refresh(
        &self,
        request: &TokenRequest<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        let digest = digest(request.require("refresh_token")?);
        let unknown = || {
            TokenEndpointError::invalid_grant(
                "refresh_token_unknown",
                "the refresh token is unknown; authorize again",
            )
        };
        let used = self.store.refresh_token(&digest).await?.ok_or_else(unknown)?;
        let grant = self.store.grant(&used.grant_id).await?.ok_or_else(unknown)?;
        self.check_grant(request, &grant)?;
        self.check_not_superseded(&used).await?;
        if !self.limit.take(&grant.id, self.clock.now()) {
            return Err(TokenEndpointError::TooManyTokens);
        }
        if self.sign_ins.renew(&PrincipalId::from_stored(&grant.principal)).await == SignInStatus::Ended {
            return Err(TokenEndpointError::invalid_grant(
                "sign_in_ended",
                "the identity provider ended the sign-in; authorize again",
            ));
        }
        let refresh_token = self.tokens.new_refresh_token()?;
        let assertions = request.use_up_assertions(None).await?;
        let issued = |grant| IssuedGrant::new(assertions, grant, Some(refresh_token.clone()));
        match self.issue_successor(&used, &refresh_token).await? {
            Successor::First => return Ok(issued(grant)),
            Successor::Sibling => return Ok(issued(grant).noting("refresh_token_repeated")),
            Successor::TooMany => {
                return Err(TokenEndpointError::invalid_grant(
                    "refresh_token_repeated",
                    "too many processes use this refresh token at once; authorize again",
                ));
            }
            Successor::Refused => {}
        }
        self.revocation.revoke_grant(request.table, &grant, "refresh_token_reused").await?;
        Err(TokenEndpointError::invalid_grant(
            "refresh_token_reused",
            "the refresh token was used before; its grant has been revoked, authorize again",
        ))
    }

    fn check_grant(&self, request: &TokenRequest<'_>, grant: &GrantRow) -> Result<(), TokenEndpointError> {
        if grant.client_id != request.client_id {
            return Err(TokenEndpointError::invalid_grant(
                "refresh_token_of_another_client",
                "the refresh token was issued to another client",
            ));
        }
        if grant.issuer != request.issuer_id {
            return Err(TokenEndpointError::invalid_grant(
                "refresh_token_of_another_issuer",
                "the refresh token was issued by another authorization server",
            ));
        }
        if grant.revoked_at.is_some() {
            return Err(TokenEndpointError::invalid_grant(
                "grant_revoked",
                "the grant has been revoked; authorize again",
            ));
        }
        if self.clock.now().0 >= grant.expires_at {
            return Err(TokenEndpointError::invalid_grant(
                "grant_expired",
                "the grant has expired; authorize again",
            ));
        }
        request.check_target(&grant.route_uid, &grant.resource)?;
        Ok(())
    }

    /// Rejects an unused token whose sibling was used before the grace period.
    async fn check_not_superseded(&self, token: &RefreshTokenRow) -> Result<(), TokenEndpointError> {
        let is_unused_sibling = token.consumed_at.is_none() && token.predecessor.is_some();
        if is_unused_sibling && self.store.is_refresh_token_superseded(token, self.grace_began()).await? {
            return Err(TokenEndpointError::invalid_grant(
                "refresh_token_superseded",
                "the client went on with another refresh token that was issued for the same one; authorize again",
            ));
        }
        Ok(())
    }

    /// A token that was used before this time may not be used again.
    fn grace_began(&self) -> i64 {
        self.clock.now().0.saturating_sub(i64::try_from(REUSE_GRACE_PERIOD.as_millis()).unwrap_or(0))
    }

    /// Stores a successor of a token: the first one, or another one within the grace period.
    async fn issue_successor(
        &self,
        used: &RefreshTokenRow,
        refresh_token: &str,
    ) -> Result<Successor, TokenEndpointError> {
        let now = self.clock.now();
        let successor = digest(refresh_token);
        if used.consumed_at.is_none() && self.store.rotate_refresh_token(used, &successor, now.0).await? {
            return Ok(Successor::First);
        }
        let since = self.grace_began();
        if self.store.branch_refresh_token(used, &successor, since, now.0).await? {
            return Ok(Successor::Sibling);
        }
        // It was used concurrently if it was unused before.
        let is_in_grace_period = used.consumed_at.is_none_or(|at| at >= since);
        if is_in_grace_period
            && self.store.unused_refresh_tokens(&used.grant_id).await? >= MAX_UNUSED_REFRESH_TOKENS
            && !self.store.has_used_successor(used).await?
        {
            return Ok(Successor::TooMany);
        }
        Ok(Successor::Refused)
    }
}

/// The result of storing a successor of a refresh token.
enum Successor {
    /// It is the first one.
    First,
    /// The token had one already, and is within the grace period.
    Sibling,
    /// The token is within the grace period, but its grant has too many unused tokens.
    TooMany,
    /// The token may not have a successor.
    Refused,
}
