//! Common parts of the grants without a browser. They issue no refresh tokens: the client can repeat the
//! request instead.

use std::sync::Arc;

use portcullis_clock::{Clock, Random};
use portcullis_jwt_verification::UnusedAssertion;
use portcullis_policy::{Principal, Route};
use portcullis_rate_limit::KeyedRateLimit;
use portcullis_store::{GrantRow, Store};

use super::token_error::TokenEndpointError;
use super::token_request::{IssuedGrant, TokenRequest};
use crate::issue_token::SCOPE;
use crate::{InternalError, Principals};

/// Grants per principal: burst, and rate per second. Each is a row that is kept for a day.
const GRANT_LIMIT: (u32, u32) = (300, 5);

/// The client that the token is issued to.
pub(super) struct TokenClient<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
}

/// Stores grants without a browser.
pub(super) struct HeadlessGrants {
    store: Store,
    clock: Clock,
    random: Random,
    principals: Arc<Principals>,
    limit: KeyedRateLimit,
}

impl HeadlessGrants {
    pub(super) fn new(store: Store, clock: Clock, random: Random, principals: Arc<Principals>) -> Self {
        Self { store, clock, random, principals, limit: KeyedRateLimit::new(GRANT_LIMIT) }
    }

    /// Grants a principal access to a route for the lifetime of one access token, if a team gives the
    /// principal access or the route is open to everyone. Uses up the client's assertion, and `assertion`.
    pub(super) async fn issue(
        &self,
        request: &TokenRequest<'_>,
        route: &Route,
        principal: &Principal,
        holder: TokenClient<'_>,
        assertion: Option<&UnusedAssertion>,
    ) -> Result<IssuedGrant, TokenEndpointError> {
        if route.authorize(principal).is_none() {
            return Err(TokenEndpointError::NoAccess(principal.subject.to_string()));
        }
        let now = self.clock.now();
        if !self.limit.take(principal.id.as_str(), now) {
            return Err(TokenEndpointError::TooManyTokens);
        }
        let used = request.use_up_assertions(assertion).await?;
        self.principals.save(principal).await?;
        let grant = GrantRow {
            id: self.random.token().map_err(InternalError::from)?,
            principal: principal.id.as_str().to_owned(),
            client_id: holder.id.to_owned(),
            client_name: holder.name.to_owned(),
            issuer: request.issuer_id.clone(),
            route_uid: route.uid.to_string(),
            resource: route.url.to_string(),
            scope: SCOPE.to_owned(),
            created_at: now.0,
            expires_at: now.after_seconds(request.table.gateway.tokens.access_seconds).0,
            revoked_at: None,
            provider_session: None,
        };
        self.store.add_grant(&grant).await?;
        Ok(IssuedGrant::new(used, grant, None))
    }
}
