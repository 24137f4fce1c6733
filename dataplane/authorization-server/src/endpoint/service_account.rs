//! Sign-in of Kubernetes service accounts with a token that the cluster issued for this authorization server.
//! No secret is stored, and the token's audience makes it useless elsewhere.

use portcullis_policy::Principal;

use super::headless::TokenClient;
use super::token::{IssuedGrant, TokenEndpointError, TokenRequest};
use crate::AuthorizationServer;
use portcullis_jwt_verification::{Claims, JwtError, UnverifiedJwt};

/// Prefix of the Kubernetes user names of service accounts (`system:serviceaccount:namespace:name`).
const USERNAME_PREFIX: &str = "system:serviceaccount:";

impl AuthorizationServer {
    pub(super) async fn service_account(
        &self,
        request: &TokenRequest<'_>,
        assertion: &UnverifiedJwt<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        let reviewer = self.reviewer().ok_or(TokenEndpointError::GrantDisabled(
            "service account tokens are accepted only if the gateway runs in their cluster (serve --kubernetes)",
        ))?;
        let route = request.target()?;
        // The claims are unverified here. They only avoid reviews of tokens that would be rejected anyway.
        let claimed = claimed_principal(assertion.claims())?;
        if !audiences(assertion.claims()).any(|audience| audience == request.issuer_id) {
            return Err(JwtError::Mismatch("aud").into());
        }
        if route.authorize(&claimed).is_none() {
            return Err(TokenEndpointError::NoAccess(claimed.subject.to_string()));
        }
        if !self.token_review_limit().take(self.clock().now()) {
            return Err(TokenEndpointError::RateLimited);
        }
        let reviewed = reviewer
            .review(assertion.token(), &request.issuer_id)
            .await
            .map_err(TokenEndpointError::Review)?;
        let account = reviewed.ok_or(TokenEndpointError::Grant {
            reason: "service_account_token",
            description: "the cluster rejected the token: it has expired, has another audience, or its account was deleted",
        })?;
        let principal = Principal::service_account(&account.namespace, &account.name);
        let holder = match &request.client {
            Some(client) => TokenClient { id: &client.id, name: &client.name },
            None => TokenClient { id: &principal.subject, name: principal.label() },
        };
        self.grant_headless(request, &route, &principal, holder).await
    }
}

/// The service account in the unverified claims.
fn claimed_principal(claims: &Claims) -> Result<Principal, JwtError> {
    let account =
        claims.text("sub")?.strip_prefix(USERNAME_PREFIX).and_then(|account| account.split_once(':'));
    let (namespace, name) = account.ok_or(JwtError::Mismatch("sub"))?;
    Ok(Principal::service_account(namespace, name))
}

/// All audiences. The cluster's own servers may be among them.
fn audiences(claims: &Claims) -> impl Iterator<Item = &str> {
    let (one, many) = match claims.all().get("aud") {
        Some(serde_json::Value::Array(many)) => (None, many.as_slice()),
        one => (one, &[][..]),
    };
    one.into_iter().chain(many).filter_map(serde_json::Value::as_str)
}
