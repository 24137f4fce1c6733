//! Second step: whose token it is, and whether they may use this route.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use portcullis_identity::{AuthenticateError, Caller};
use portcullis_policy::{Admission, Route, RouteTable};

use super::Context;
use super::record::Record;
use super::refusal::Refusal;
use super::route::Routed;

/// A request by somebody who may use the route.
pub(super) struct Authenticated {
    routed: Routed,
    caller: Arc<Caller>,
    admission: Admission,
}

impl Authenticated {
    pub(super) async fn check(
        context: &Context,
        routed: Routed,
        headers: &HeaderMap,
        record: &mut Record,
    ) -> Result<Self, Refusal> {
        let route = routed.route();
        let challenge = |error: Option<&AuthenticateError>| context.identity.challenge(route, error);
        // Exactly one: two readers of two headers could see two people.
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Refusal::unauthenticated(challenge(None)));
        };
        let Some(token) = value.to_str().ok().and_then(bearer) else {
            return Err(Refusal::unauthenticated(challenge(None)));
        };
        let caller = match context.identity.authenticate(token, route).await {
            Ok(caller) => caller,
            Err(AuthenticateError::Unavailable) => return Err(Refusal::store_unavailable()),
            Err(error @ AuthenticateError::InsufficientScope) => {
                return Err(Refusal::insufficient_scope(challenge(Some(&error))));
            }
            Err(error) => return Err(Refusal::unauthenticated(challenge(Some(&error)))),
        };
        record.caller(&caller);
        let admission =
            route.admit(&caller.principal).ok_or_else(|| Refusal::no_access(&route.display_name))?;
        record.teams(&admission);
        if route.suspended {
            return Err(Refusal::suspended(&route.display_name));
        }
        Ok(Self { routed, caller, admission })
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        self.routed.route()
    }

    pub(super) fn table(&self) -> &Arc<RouteTable> {
        self.routed.table()
    }

    pub(super) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1; the scheme in any case, RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
