//! `grant_type=refresh_token` (RFC 6749, section 6), with rotation (OAuth 2.1, section 4.3.1).
//!
//! Every refresh token is valid once and is replaced by a successor. Real clients break this rule without bad
//! intent: several processes share one token, or a response is lost. So within a grace period a used token
//! gets another successor, unless a successor was already used. After that, the old token is treated as
//! stolen and its reuse revokes the whole grant.

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::Clock;
use portcullis_policy::PrincipalId;
use portcullis_store::{GrantRow, RefreshTokenRow, Store};

use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};
use crate::issue_token::TokenIssuer;
use crate::renewal::SignInStatus;
use crate::{GrantRevocation, SignInRenewal};
use portcullis_keyring::digest;

/// How long a used refresh token may be used again.
const REUSE_GRACE_PERIOD: Duration = Duration::from_secs(45);

/// Exchanges refresh tokens for new tokens.
pub(super) struct RefreshGrant {
    store: Store,
    clock: Clock,
    tokens: Arc<TokenIssuer>,
    sign_ins: Arc<SignInRenewal>,
    revocation: Arc<GrantRevocation>,
}

impl RefreshGrant {
    pub(super) const fn new(
        store: Store,
        clock: Clock,
        tokens: Arc<TokenIssuer>,
        sign_ins: Arc<SignInRenewal>,
        revocation: Arc<GrantRevocation>,
    ) -> Self {
        Self { store, clock, tokens, sign_ins, revocation }
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
        if self.sign_ins.renew(&PrincipalId::from_stored(&grant.principal)).await == SignInStatus::Ended {
            return Err(TokenEndpointError::invalid_grant(
                "sign_in_ended",
                "the identity provider ended the sign-in; authorize again",
            ));
        }
        let refresh_token = self.tokens.new_refresh_token()?;
        if self.issue_successor(&used, &refresh_token).await? {
            return Ok(IssuedGrant { grant, refresh_token: Some(refresh_token) });
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

    /// Stores a successor of a token: the first one, or another one within the grace period. Returns `false`
    /// if the token may not have a successor.
    async fn issue_successor(
        &self,
        used: &RefreshTokenRow,
        refresh_token: &str,
    ) -> Result<bool, TokenEndpointError> {
        let now = self.clock.now();
        let successor = digest(refresh_token);
        if used.consumed_at.is_none() && self.store.rotate_refresh_token(used, &successor, now.0).await? {
            return Ok(true);
        }
        let grace_began = now.0.saturating_sub(i64::try_from(REUSE_GRACE_PERIOD.as_millis()).unwrap_or(0));
        Ok(self.store.branch_refresh_token(used, &successor, grace_began, now.0).await?)
    }
}
