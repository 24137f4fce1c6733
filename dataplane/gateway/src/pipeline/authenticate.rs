//! Second step: verifies the access token and the principal's access to the route.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use portcullis_authorization_server::{AuthenticateError, Caller, challenge};
use portcullis_policy::{Route, RouteAccess, RouteTable};

use super::Context;
use super::audit_record::AuditRecord;
use super::error::PipelineError;
use super::route::Routed;
use crate::limits::{ConnectionGuard, MemoryLease, Usage};

/// A request by a principal that has access to the route.
pub(super) struct Authenticated {
    routed: Routed,
    caller: Arc<Caller>,
    admission: RouteAccess,
    /// Memory that the principal's requests use.
    memory: Arc<Usage>,
}

impl Authenticated {
    pub(super) async fn authenticate(
        context: &Context,
        routed: Routed,
        connection: &ConnectionGuard,
        headers: &HeaderMap,
        record: &mut AuditRecord,
    ) -> Result<Self, PipelineError> {
        let route = routed.route();
        let Some(token) = bearer_token(headers) else {
            return Err(PipelineError::unauthenticated(challenge(route, None)));
        };
        let caller = match context.access_tokens.authenticate(token, route, routed.table()).await {
            Ok(caller) => caller,
            Err(AuthenticateError::Unavailable) => return Err(PipelineError::store_unavailable()),
            Err(error @ AuthenticateError::InsufficientScope) => {
                return Err(PipelineError::insufficient_scope(challenge(route, Some(&error))));
            }
            Err(error) => return Err(PipelineError::unauthenticated(challenge(route, Some(&error)))),
        };
        connection.prove(&caller.principal.id);
        record.caller(&caller);
        let admission = route
            .authorize(&caller.principal)
            .ok_or_else(|| PipelineError::no_access(&route.display_name))?;
        record.teams(&admission);
        if route.suspended {
            return Err(PipelineError::suspended(&route.display_name));
        }
        let permit = context.limits.principals.begin(&caller.principal.id).map_err(|limit| {
            context.limits.count_refused();
            PipelineError::too_many(None, limit)
        })?;
        let memory = Arc::clone(permit.memory());
        record.begin(permit);
        Ok(Self { routed, caller, admission, memory })
    }

    /// Memory for the bodies of this request, empty.
    pub(super) fn memory(&self, context: &Context) -> MemoryLease {
        context.limits.memory.principal(&self.memory)
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

    pub(super) fn admission(&self) -> &RouteAccess {
        &self.admission
    }
}

/// Returns the token of `Authorization: Bearer …` (RFC 6750, section 2.1). The scheme is case-insensitive
/// (RFC 9110, section 11.1). With more than one such header there is no token: a proxy and the gateway could
/// read different ones.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirements: rs.token
    #[test]
    fn given_an_authorization_header_then_one_bearer_token_counts_and_nothing_else() {
        let sent = |values: &[&'static str]| {
            let headers: HeaderMap =
                values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect();
            bearer_token(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(sent(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(sent(&["bEARER  abc"]).as_deref(), Some("abc"));
        for none in [&["Basic abc"][..], &["Bearer"], &["Bearer "], &["abc"], &[]] {
            assert_eq!(sent(none), None, "{none:?}");
        }
        assert_eq!(sent(&["Bearer abc", "Bearer abc"]), None);
        assert_eq!(sent(&["Bearer abc", "Basic abc"]), None);
    }
}
