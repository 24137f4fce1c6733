//! `grant_type=refresh_token` (RFC 6749, section 6), with rotation (OAuth 2.1, section 4.3.1).
//!
//! Every refresh token is used once and gives a successor. Real clients break that rule innocently: several processes share one
//! token, an answer is lost on the way. So within a grace window a used token gives one more successor, unless a successor has
//! been used already: from then on whoever still holds the old one is not the client, and the whole family ends.

use std::time::Duration;

use portcullis_policy::PrincipalId;
use portcullis_store::{GrantRow, RefreshTokenRow};

use super::token::{IssuedGrant, TokenEndpointError, TokenRequest};
use crate::AuthorizationServer;
use crate::digest::digest;
use crate::renewal::SignInStatus;

/// How long a used refresh token may be used again.
const REUSE_GRACE_PERIOD: Duration = Duration::from_secs(45);

fn invalid_grant(reason: &'static str, description: &'static str) -> TokenEndpointError {
    TokenEndpointError::Grant { reason, description }
}

impl AuthorizationServer {
    pub(super) async fn refresh(
        &self,
        request: &TokenRequest<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        let digest = digest(request.require("refresh_token")?);
        let unknown =
            || invalid_grant("refresh_token_unknown", "the refresh token is not known here; authorize again");
        let used = self.store().refresh_token(&digest).await?.ok_or_else(unknown)?;
        let grant = self.store().grant(&used.grant_id).await?.ok_or_else(unknown)?;
        self.check_grant(request, &grant)?;
        if self.renew_sign_in(&PrincipalId::from_stored(&grant.principal)).await == SignInStatus::Ended {
            return Err(invalid_grant(
                "sign_in_ended",
                "the identity provider has ended the sign-in; authorize again",
            ));
        }
        let refresh_token = self.new_refresh_token()?;
        if self.issue_successor(&used, &refresh_token).await? {
            return Ok(IssuedGrant { grant, refresh_token: Some(refresh_token) });
        }
        self.revoke_grant(request.table, &grant, "refresh_token_reused").await?;
        Err(invalid_grant(
            "refresh_token_reused",
            "the refresh token was used before; all tokens of this grant have ended, authorize again",
        ))
    }

    fn check_grant(&self, request: &TokenRequest<'_>, grant: &GrantRow) -> Result<(), TokenEndpointError> {
        if grant.client_id != request.client_id {
            return Err(invalid_grant(
                "refresh_token_of_another_client",
                "the refresh token was issued to another client",
            ));
        }
        if grant.issuer != request.issuer_id {
            return Err(invalid_grant(
                "refresh_token_of_another_issuer",
                "the refresh token was issued by another authorization server",
            ));
        }
        if grant.revoked_at.is_some() {
            return Err(invalid_grant("grant_revoked", "the grant has been revoked; authorize again"));
        }
        if self.clock().now().0 >= grant.expires_at {
            return Err(invalid_grant("grant_expired", "the grant has reached its end; authorize again"));
        }
        request.check_target(&grant.route_uid, &grant.resource)?;
        Ok(())
    }

    /// Gives the token a successor, the first one or, within the grace window, one more. `false`: it may not have one.
    async fn issue_successor(
        &self,
        used: &RefreshTokenRow,
        refresh_token: &str,
    ) -> Result<bool, TokenEndpointError> {
        let now = self.clock().now();
        let successor = digest(refresh_token);
        if used.consumed_at.is_none() && self.store().rotate_refresh_token(used, &successor, now.0).await? {
            return Ok(true);
        }
        let grace_began = now.0.saturating_sub(i64::try_from(REUSE_GRACE_PERIOD.as_millis()).unwrap_or(0));
        Ok(self.store().branch_refresh_token(used, &successor, grace_began, now.0).await?)
    }
}
