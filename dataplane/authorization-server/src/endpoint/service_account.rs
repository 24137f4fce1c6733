//! Sign-in of Kubernetes service accounts with a token that the cluster issued for this authorization server.
//! No secret is stored, and the token's audience makes it useless elsewhere.

use std::sync::Arc;

use portcullis_clock::Clock;
use portcullis_jwt_verification::{Claims, JwtError, UnverifiedJwt};
use portcullis_policy::Principal;
use portcullis_rate_limit::RateLimit;

use super::headless::{HeadlessGrants, TokenClient};
use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};
use crate::TokenReviewer;

/// Prefix of the Kubernetes user names of service accounts (`system:serviceaccount:namespace:name`).
const USERNAME_PREFIX: &str = "system:serviceaccount:";

/// Token reviews per IP address: burst, and rate per second.
const REVIEW_LIMIT: (u32, u32) = (50, 10);
/// The same for all addresses together.
const TOTAL_REVIEW_LIMIT: (u32, u32) = (100, 20);

/// Grants for service accounts.
pub(super) struct ServiceAccountGrant {
    /// `None` outside a cluster.
    reviewer: Option<Arc<dyn TokenReviewer>>,
    clock: Clock,
    headless: Arc<HeadlessGrants>,
    review_limit: RateLimit,
}

impl ServiceAccountGrant {
    pub(super) fn new(
        reviewer: Option<Arc<dyn TokenReviewer>>,
        clock: Clock,
        headless: Arc<HeadlessGrants>,
    ) -> Self {
        Self { reviewer, clock, headless, review_limit: RateLimit::new(REVIEW_LIMIT, TOTAL_REVIEW_LIMIT) }
    }

    pub(super) async fn issue(
        &self,
        request: &TokenRequest<'_>,
        assertion: &UnverifiedJwt<'_>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        let reviewer = self.reviewer.as_deref().ok_or(TokenEndpointError::GrantDisabled(
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
        if !self.review_limit.take(self.clock.now()) {
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
        self.headless.issue(request, &route, &principal, holder, None).await
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
