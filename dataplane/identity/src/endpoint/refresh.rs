//! `grant_type=refresh_token` (RFC 6749, section 6), with rotation (OAuth 2.1, section 4.3.1).
//!
//! Every refresh token is used once and gives a successor. Real clients break that rule innocently: several processes share one
//! token, an answer is lost on the way. So within a grace window a used token gives one more successor, unless a successor has
//! been used already: from then on whoever still holds the old one is not the client, and the whole family ends.

use std::time::Duration;

use portcullis_policy::PrincipalId;
use portcullis_store::{GrantRow, RefreshTokenRow};

use super::token::{Granted, Request, RouteError};
use crate::Identity;
use crate::digest::digest;
use crate::renewal::Renewal;

/// How long a used refresh token may be used again.
const GRACE: Duration = Duration::from_secs(45);

fn refuse(reason: &'static str, description: &'static str) -> RouteError {
    RouteError::Grant { reason, description }
}

impl Identity {
    pub(super) async fn refresh(&self, request: &Request<'_>) -> Result<Granted, RouteError> {
        let digest = digest(request.require("refresh_token")?);
        let unknown =
            || refuse("refresh_token_unknown", "the refresh token is not known here; authorize again");
        let used = self.store().refresh_token(&digest).await?.ok_or_else(unknown)?;
        let grant = self.store().grant(&used.grant_id).await?.ok_or_else(unknown)?;
        self.check_grant(request, &grant)?;
        if self.renewal(&PrincipalId::from_stored(&grant.principal)).await == Renewal::Ended {
            return Err(refuse(
                "sign_in_ended",
                "the identity provider has ended the sign-in; authorize again",
            ));
        }
        let refresh_token = self.new_refresh_token()?;
        if self.successor(&used, &refresh_token).await? {
            return Ok(Granted { grant, refresh_token: Some(refresh_token) });
        }
        self.end_grant(request.table, &grant, "refresh_token_reused").await?;
        Err(refuse(
            "refresh_token_reused",
            "the refresh token was used before; all tokens of this grant have ended, authorize again",
        ))
    }

    fn check_grant(&self, request: &Request<'_>, grant: &GrantRow) -> Result<(), RouteError> {
        if grant.client_id != request.client_id {
            return Err(refuse(
                "refresh_token_of_another_client",
                "the refresh token was issued to another client",
            ));
        }
        if grant.issuer != request.issuer_id {
            return Err(refuse(
                "refresh_token_of_another_issuer",
                "the refresh token was issued by another authorization server",
            ));
        }
        if grant.revoked_at.is_some() {
            return Err(refuse("grant_revoked", "the grant has been revoked; authorize again"));
        }
        if self.clock().now().0 >= grant.expires_at {
            return Err(refuse("grant_expired", "the grant has reached its end; authorize again"));
        }
        request.check_target(&grant.route_uid, &grant.resource)?;
        Ok(())
    }

    /// Gives the token a successor, the first one or, within the grace window, one more. `false`: it may not have one.
    async fn successor(&self, used: &RefreshTokenRow, refresh_token: &str) -> Result<bool, RouteError> {
        let now = self.clock().now();
        let successor = digest(refresh_token);
        if used.consumed_at.is_none() && self.store().rotate_refresh_token(used, &successor, now.0).await? {
            return Ok(true);
        }
        let grace_began = now.0.saturating_sub(i64::try_from(GRACE.as_millis()).unwrap_or(0));
        Ok(self.store().branch_refresh_token(used, &successor, grace_began, now.0).await?)
    }
}
