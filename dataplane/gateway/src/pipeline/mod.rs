//! Steps of a request to `/mcp/{slug}`, the same for every HTTP method. Each step is a type with private fields
//! that only the previous step can create, so leaving one out does not compile:
//!
//! ```text
//! Routed        finds the virtual MCP                   route.rs
//! Authenticated verifies token and access to the route  authenticate.rs
//! Parsed        parses the request, opens its session   parse.rs, session.rs
//! Authorized    checks access to the named capability   authorize.rs, template_discovery.rs
//! Credentialed  gets credential and session at origin   credential.rs, deferred_session.rs
//! Forwarded     the origin's response                   forward.rs, exchange.rs
//! response      curated and recorded                    relay.rs, curate.rs, relayed_body.rs
//! ```
//!
//! Without a credential `connect_required.rs` responds. Requests that the gateway itself sends to the origin go
//! through `origin_transport.rs`.
//!
//! Futures that few requests need are boxed (`Box::pin`): a future is as large as the largest future that it
//! may await, and it is moved often.
//!
//! Every exit records one event: [`audit_record::AuditRecord`] is created at the start and records itself
//! when the request ends, even if it is dropped.
//!
//! *Architecture invariant:* a step reads only the results of earlier steps. The route table is read once.

mod audit_record;
mod authenticate;
mod authorize;
mod body;
mod body_edits;
mod connect_required;
mod credential;
mod curate;
mod deferred_session;
mod discard;
mod error;
mod exchange;
mod forward;
#[cfg(test)]
mod golden;
mod headers;
mod origin_transport;
mod parse;
mod placeholder_stream;
mod relay;
mod relayed_body;
mod route;
mod session;
mod stream_guard;
mod template_discovery;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use portcullis_authorization_server::AccessTokenVerifier;
use portcullis_clock::{Clock, Random};
use portcullis_events::EventSink;
use portcullis_keyring::Keyring;
use portcullis_origin_auth::CredentialBroker;
use portcullis_policy::{RouteTable, RouteTableHandle};
use portcullis_portal::Portal;
use portcullis_store::Store;

pub(crate) use body::Body;
pub(crate) use deferred_session::DeferredSessions;
pub(crate) use discard::discard;

use crate::catalog::Catalogs;
use crate::limits::{ConnectionGuard, Limits};
use crate::pipeline::audit_record::AuditRecord;
use crate::pipeline::authenticate::Authenticated;
use crate::pipeline::authorize::{Authorization, Authorized};
use crate::pipeline::credential::{CredentialOutcome, Credentialed};
use crate::pipeline::error::PipelineError;
use crate::pipeline::parse::Parsed;
use crate::pipeline::template_discovery::TemplateAuthorization;
use crate::shutdown::Shutdown;
use crate::upstream::UpstreamPool;

/// Shared state of the steps, one per process. Each worker has its own [`UpstreamPool`].
pub(crate) struct Context {
    pub(crate) tables: RouteTableHandle,
    pub(crate) access_tokens: Arc<AccessTokenVerifier>,
    pub(crate) portal: Portal,
    pub(crate) broker: CredentialBroker,
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) catalogs: Catalogs,
    pub(crate) deferred_sessions: DeferredSessions,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) events: EventSink,
    pub(crate) shutdown: Shutdown,
    pub(crate) limits: Arc<Limits>,
}

/// Refuses a request before the first step, because its event might be dropped. It has no event itself.
pub(crate) async fn refuse_unrecorded(context: &Context, request: Request<Incoming>) -> Response<Body> {
    context.limits.count_refused();
    discard(request.into_body()).await;
    PipelineError::events_overloaded().respond(AuditRecord::disabled())
}

/// Serves one request to `/mcp/{slug}`.
pub(crate) async fn serve(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    table: Arc<RouteTable>,
    slug: &str,
    connection: &ConnectionGuard,
    request: Request<Incoming>,
) -> Response<Body> {
    let mut record = AuditRecord::new(context, &request);
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let routed = route::Routed::find(table, slug, &mut record);
    match steps(context, upstreams, routed, connection, head, &mut body, &mut record).await {
        Ok(response) => response,
        Err(refusal) => {
            if let Some(unread) = body {
                discard(unread).await;
            }
            refusal.respond(record)
        }
    }
}

async fn steps(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    routed: Result<route::Routed, PipelineError>,
    connection: &ConnectionGuard,
    head: Parts,
    body: &mut Option<Incoming>,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let authenticated =
        Authenticated::authenticate(context, routed?, connection, &head.headers, record).await?;
    let body = parse::read_body(context, &authenticated, &head, body, record).await?;
    let parsed = Parsed::parse(context, &authenticated, &head, &body.bytes, record)?;
    let authorized = match Authorized::authorize(context, parsed, record)? {
        Authorization::Authorized(authorized) => authorized,
        Authorization::TemplatesUnknown(parsed, _) => {
            let headers = &head.headers;
            match Box::pin(template_discovery::authorize(context, upstreams, parsed, headers, record)).await?
            {
                TemplateAuthorization::Authorized(authorized) => authorized,
                TemplateAuthorization::ConnectRequired(parsed, lack) => {
                    return Box::pin(connect_required::respond(context, &parsed, false, lack, record)).await;
                }
            }
        }
    };
    match Credentialed::resolve(context, upstreams, authorized, record).await? {
        CredentialOutcome::Credentialed(credentialed) if credentialed.authorized().is_connect_tool() => {
            let authorized = credentialed.into_authorized();
            Box::pin(connect_required::call_connect_tool(context, authorized, record)).await
        }
        CredentialOutcome::Credentialed(credentialed) => {
            relay::relay(context, upstreams, credentialed, &head.headers, record).await
        }
        CredentialOutcome::ConnectRequired(authorized, lack) => {
            let is_connect_tool = authorized.is_connect_tool();
            let parsed = authorized.parsed();
            Box::pin(connect_required::respond(context, parsed, is_connect_tool, lack, record)).await
        }
        CredentialOutcome::NothingToEnd => Ok(relay::session_ended(record)),
    }
}
