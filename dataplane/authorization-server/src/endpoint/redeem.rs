//! `grant_type=authorization_code` (RFC 6749, section 4.1.3; RFC 7636): redeems authorization codes.

use std::sync::Arc;

use portcullis_clock::{Clock, Random};
use portcullis_store::{CodeRow, GrantRow, Store};
use subtle::ConstantTimeEq as _;

use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};
use crate::issue_token::TokenIssuer;
use crate::{GrantRevocation, InternalError};
use portcullis_keyring::digest;

/// Permitted lengths of a PKCE verifier (RFC 7636, section 4.1).
const VERIFIER_LEN: std::ops::RangeInclusive<usize> = 43..=128;

/// Redeems authorization codes.
pub(super) struct CodeGrant {
    store: Store,
    clock: Clock,
    random: Random,
    tokens: Arc<TokenIssuer>,
    revocation: Arc<GrantRevocation>,
}

impl CodeGrant {
    pub(super) const fn new(
        store: Store,
        clock: Clock,
        random: Random,
        tokens: Arc<TokenIssuer>,
        revocation: Arc<GrantRevocation>,
    ) -> Self {
        Self { store, clock, random, tokens, revocation }
    }

    /// Redeems a code. A request that does not match the code invalidates it, because the code may be stolen.
    pub(super) async fn redeem(&self, request: &TokenRequest<'_>) -> Result<IssuedGrant, TokenEndpointError> {
        let code_digest = digest(request.require("code")?);
        let verifier = request.require("code_verifier")?;
        let unknown =
            || TokenEndpointError::invalid_grant("code_unknown", "the code is unknown; authorize again");
        let code = self.store.code(&code_digest).await?.ok_or_else(unknown)?;
        if code.consumed_at.is_some() {
            return Err(self.revoke_reused_code(request, &code).await?);
        }
        let now = self.clock.now();
        if now.0 >= code.expires_at {
            return Err(TokenEndpointError::invalid_grant(
                "code_expired",
                "the code has expired; authorize again",
            ));
        }
        if let Err(error) = check(request, &code, verifier) {
            self.store.invalidate_code(&code_digest, now.0).await?;
            return Err(error);
        }
        request.check_target(&code.route_uid, &code.resource)?;
        let refresh_token = self.tokens.new_refresh_token()?;
        let refresh_digest = digest(&refresh_token);
        let grant = GrantRow {
            id: self.random.token().map_err(InternalError::from)?,
            principal: code.principal.clone(),
            client_id: code.client_id.clone(),
            client_name: code.client_name.clone(),
            issuer: code.issuer.clone(),
            route_uid: code.route_uid.clone(),
            resource: code.resource.clone(),
            scope: code.scope.clone(),
            created_at: now.0,
            expires_at: now.after_seconds(request.table.gateway.tokens.refresh_seconds).0,
            revoked_at: None,
            provider_session: code.provider_session.clone(),
        };
        let used = request.use_up_assertions(None).await?;
        if self.store.redeem_code(&code_digest, &grant, &refresh_digest).await? {
            return Ok(IssuedGrant::new(used, grant, Some(refresh_token)));
        }
        // A concurrent request redeemed the same code.
        let code = self.store.code(&code_digest).await?.ok_or_else(unknown)?;
        Err(self.revoke_reused_code(request, &code).await?)
    }

    /// Handles a code that was used twice. One of the two requests may come from a thief, so the grant is
    /// revoked (RFC 6749, section 4.1.2).
    async fn revoke_reused_code(
        &self,
        request: &TokenRequest<'_>,
        code: &CodeRow,
    ) -> Result<TokenEndpointError, TokenEndpointError> {
        if let Some(grant) = &code.grant_id
            && let Some(grant) = self.store.grant(grant).await?
        {
            self.revocation.revoke_grant(request.table, &grant, "code_reused").await?;
        }
        Ok(TokenEndpointError::invalid_grant(
            "code_reused",
            "the code was used before; its grant has been revoked, authorize again",
        ))
    }
}

fn check(request: &TokenRequest<'_>, code: &CodeRow, verifier: &str) -> Result<(), TokenEndpointError> {
    if code.client_id != request.client_id {
        return Err(TokenEndpointError::invalid_grant(
            "code_of_another_client",
            "the code was issued to another client",
        ));
    }
    if code.issuer != request.issuer_id {
        return Err(TokenEndpointError::invalid_grant(
            "code_of_another_issuer",
            "the code was issued by another authorization server",
        ));
    }
    // Optional in OAuth 2.1 ("Redirect URI Parameter in Token Request"), because the verifier binds the code
    // better.
    if request.form.get("redirect_uri").is_some_and(|sent| sent != code.redirect_uri) {
        return Err(TokenEndpointError::invalid_grant(
            "redirect_mismatch",
            "redirect_uri differs from the one in the authorization request",
        ));
    }
    let right = digest(verifier).as_bytes().ct_eq(code.code_challenge.as_bytes());
    if !VERIFIER_LEN.contains(&verifier.len()) || !bool::from(right) {
        return Err(TokenEndpointError::invalid_grant(
            "verifier_mismatch",
            "code_verifier does not match the code_challenge",
        ));
    }
    Ok(())
}
