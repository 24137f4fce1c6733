//! The authorization endpoint: `GET /mcp/{slug}/oauth/authorize` and, for the root issuer, `GET
//! /oauth/authorize`.
//!
//! ```text
//! CheckedRequest::check   checks client, redirect URI and parameters     request.rs, redirect.rs
//! Authorization           client and route, looked up on every visit     pending.rs
//! Authenticated           the user has signed in
//! Admitted                the user may use the route; only this can become a code
//! pages                   approve, confirm, no access                    consent.rs, connect.rs
//! ```

pub(crate) mod connect;
pub(crate) mod consent;
#[cfg(test)]
mod golden;
mod pending;
mod redirect;
mod request;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use portcullis_authorization_server::Issuer;
use portcullis_events::{Event, EventKind, FailureOrigin, Outcome};
use portcullis_origin_auth::ConnectionStatus;
use portcullis_policy::RouteTable;

use crate::Portal;
use crate::authorize::pending::{Authenticated, Authorization, PendingAuthorization, Step};
use crate::authorize::redirect::OAuthError;
use crate::authorize::request::{AuthorizeError, CheckedRequest};
use crate::error::PortalError;
use crate::page;
use crate::visitor::Visitor;

/// `GET /mcp/{slug}/oauth/authorize`
pub(crate) async fn authorize_route(
    State(portal): State<Portal>,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let route = table.route(&slug).ok_or(PortalError::UnknownRoute)?;
    if route.suspended {
        return Err(PortalError::Suspended(route.display_name.clone()));
    }
    let issuer = Issuer::Route(Arc::clone(route));
    Ok(authorize(&portal, &table, &issuer, &query.unwrap_or_default(), &headers).await)
}

/// `GET /oauth/authorize`
pub(crate) async fn authorize_root(
    State(portal): State<Portal>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    Ok(authorize(&portal, &table, &Issuer::Root, &query.unwrap_or_default(), &headers).await)
}

async fn authorize(
    portal: &Portal,
    table: &RouteTable,
    issuer: &Issuer,
    query: &str,
    headers: &HeaderMap,
) -> Response {
    let answered = async {
        let CheckedRequest { asked, silent } = CheckedRequest::check(portal, table, issuer, query).await?;
        let answer = asked.answer.clone();
        let visitor = Visitor::of(portal, &table.gateway, headers).await?;
        let authorization = Authorization::of(portal, table, asked.clone()).await?;
        let step = authorization.next(portal, &visitor, false).await?;
        if let Step::IssueCode(admitted) = &step {
            record(portal, table, admitted.authenticated(), Outcome::Success, "approved_before");
            return Ok(page::see_other(&admitted.redirect_with_code(portal).await?));
        }
        if silent {
            return Err(AuthorizeError::Client(answer, prompt_none_error(&step)));
        }
        if !portal.codes.allow_pending_request() {
            let mut event = portal.event(table, EventKind::Consent, Outcome::ClientError);
            event.client_id = Some(asked.client_id.as_str().into());
            event.failure_origin = Some(FailureOrigin::Client);
            event.reason = Some("too_many_waiting");
            portal.events.record(event);
            return Err(PortalError::Busy.into());
        }
        let id = PendingAuthorization::create(portal, &asked).await?;
        Ok(page::see_other(&format!("{}/consent/{id}", table.gateway.public_url)))
    };
    match answered.await {
        Ok(response) => response,
        Err(AuthorizeError::Page(failure)) => failure.into_response(),
        Err(AuthorizeError::Client(answer, error)) => page::see_other(&answer.with_error(error)),
    }
}

/// The error for a client that requested `prompt=none` (OpenID Connect Core, section 3.1.2.6).
fn prompt_none_error(step: &Step) -> OAuthError {
    match step {
        Step::Approve(_) | Step::SignIn(_) => OAuthError::new("login_required", "The user must sign in."),
        Step::NoAccess(_) => OAuthError::NO_ACCESS,
        Step::Confirm(_, ConnectionStatus::NeverConnected | ConnectionStatus::ReconnectNeeded) => {
            OAuthError::new("interaction_required", "The user must connect an account.")
        }
        Step::Confirm(admitted, _) if !admitted.client_is_proven() => OAuthError::new(
            "interaction_required",
            "The user must approve this client each time, because it cannot prove its identity.",
        ),
        Step::Confirm(..) | Step::IssueCode(_) => {
            OAuthError::new("consent_required", "The user must approve this client.")
        }
    }
}

/// Records the result of an authorization request.
fn record(
    portal: &Portal,
    table: &RouteTable,
    known: &Authenticated,
    outcome: Outcome,
    reason: &'static str,
) {
    let mut event = authorization_event(portal, table, &known.authorization, EventKind::Consent, outcome);
    event.subject = Some(Arc::clone(&known.principal.subject));
    event.reason = Some(reason);
    portal.events.record(event);
}

/// A new event about an authorization request.
fn authorization_event(
    portal: &Portal,
    table: &RouteTable,
    authorization: &Authorization,
    kind: EventKind,
    outcome: Outcome,
) -> Event {
    let mut event = portal.event(table, kind, outcome);
    event.route = Some(Arc::clone(&authorization.route.slug));
    event.client_id = Some(authorization.client.id.as_str().into());
    event.client_name = Some(authorization.client.name.as_str().into());
    event
}

/// One parameter of a query, raw and decoded.
#[cfg(fuzzing)]
pub(crate) fn parameter(query: &str, name: &str) -> (Option<String>, Option<String>) {
    request::parameter(query, name)
}
