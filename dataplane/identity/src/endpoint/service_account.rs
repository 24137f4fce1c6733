//! A Kubernetes service account signs in with a token that its cluster made for this authorization server: no secret is stored
//! anywhere, and the token is of no use elsewhere.

use portcullis_policy::Principal;

use super::headless::Holder;
use super::token::{Granted, Request, RouteError};
use crate::Identity;
use portcullis_assertions::{AssertionError, Claims, Unverified};

/// How Kubernetes names service accounts (`system:serviceaccount:namespace:name`).
const USER: &str = "system:serviceaccount:";

impl Identity {
    pub(super) async fn service_account(
        &self,
        request: &Request<'_>,
        assertion: &Unverified<'_>,
    ) -> Result<Granted, RouteError> {
        let reviewer = self.reviewer().ok_or(RouteError::GrantClosed(
            "service account tokens are taken only where the gateway runs in their cluster (serve --kubernetes)",
        ))?;
        let route = request.target()?;
        // What the token says of itself is not believed, but nobody's token is sent to the cluster in vain.
        let says = said(assertion.says())?;
        if !audiences(assertion.says()).any(|audience| audience == request.issuer_id) {
            return Err(AssertionError::Mismatch("aud").into());
        }
        if route.admit(&says).is_none() {
            return Err(RouteError::NoAccess(says.subject.to_string()));
        }
        if !self.reviews().take(self.clock().now()) {
            return Err(RouteError::TooMany);
        }
        let reviewed =
            reviewer.review(assertion.token(), &request.issuer_id).await.map_err(RouteError::Review)?;
        let account = reviewed.ok_or(RouteError::Grant {
            reason: "service_account_token",
            description: "the cluster does not honour the token: it has expired, was made for another audience, or its account is gone",
        })?;
        let principal = Principal::service_account(&account.namespace, &account.name);
        let holder = match &request.client {
            Some(client) => Holder { id: &client.id, name: &client.name },
            None => Holder { id: &principal.subject, name: principal.label() },
        };
        self.grant_headless(request, &route, &principal, holder).await
    }
}

/// Whose token it says that it is.
fn said(claims: &Claims) -> Result<Principal, AssertionError> {
    let account = claims.text("sub")?.strip_prefix(USER).and_then(|account| account.split_once(':'));
    let (namespace, name) = account.ok_or(AssertionError::Mismatch("sub"))?;
    Ok(Principal::service_account(namespace, name))
}

/// The cluster's own servers may be among them.
fn audiences(claims: &Claims) -> impl Iterator<Item = &str> {
    let (one, many) = match claims.all().get("aud") {
        Some(serde_json::Value::Array(many)) => (None, many.as_slice()),
        one => (one, &[][..]),
    };
    one.into_iter().chain(many).filter_map(serde_json::Value::as_str)
}
