//! Steps of a request to `/mcp/{slug}`. Each step is a type that only the previous step can create, so
//! leaving one out does not compile:
//!
//! ```text
//! Routed        finds the virtual MCP                   route.rs
//! Authenticated verifies token and access to the route  authenticate.rs
//! Parsed        parses the message, opens its session   parse.rs, session.rs
//! Authorized    checks access to the named capability   authorize.rs
//! Credentialed  gets the credential for the origin      credential.rs, connect_required.rs
//! response      forwarded, curated and recorded         forward.rs, relay.rs, curate.rs, relayed_body.rs
//! ```
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
mod parse;
mod placeholder_stream;
mod relay;
mod relayed_body;
mod route;
mod session;
mod stream_guard;
mod template_discovery;

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, Response};
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
use crate::pipeline::audit_record::AuditRecord;
use crate::pipeline::error::PipelineError;
use crate::shutdown::Shutdown;
use crate::upstream::UpstreamPool;

/// Shared state of the steps, one per process. Each worker has its own [`UpstreamPool`].
pub(crate) struct Context {
    pub(crate) tables: RouteTableHandle,
    pub(crate) access_tokens: Arc<AccessTokenVerifier>,
    pub(crate) portal: Portal,
    pub(crate) vault: CredentialBroker,
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) catalogs: Catalogs,
    pub(crate) deferred_sessions: DeferredSessions,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) events: EventSink,
    pub(crate) shutdown: Shutdown,
}

/// Serves one request to `/mcp/{slug}`.
pub(crate) async fn serve(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    table: Arc<RouteTable>,
    slug: &str,
    request: Request<Incoming>,
) -> Response<Body> {
    let mut record = AuditRecord::new(context, &request);
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let routed = route::Routed::find(table, slug, &mut record);
    match steps(context, upstreams, routed, head, &mut body, &mut record).await {
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
    head: Parts,
    body: &mut Option<Incoming>,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let authenticated =
        authenticate::Authenticated::authenticate(context, routed?, &head.headers, record).await?;
    match head.method {
        Method::POST => {
            let body = parse::read_body(&head.headers, body, record).await?;
            let received = parse::Parsed::parse(context, &authenticated, &head.headers, &body, record)?;
            template_discovery::discover(context, upstreams, &received, &head.headers).await?;
            let allowed = authorize::Authorized::authorize(context, received, record)?;
            match credential::Credentialed::resolve(context, upstreams, allowed, record).await? {
                credential::CredentialOutcome::Credentialed(armed) if armed.authorized.is_connect_tool() => {
                    Box::pin(connect_required::call_connect_tool(context, armed.authorized, &body, record))
                        .await
                }
                credential::CredentialOutcome::Credentialed(armed) => {
                    relay::post(context, upstreams, armed, &head.headers, &body, record).await
                }
                credential::CredentialOutcome::ConnectRequired(allowed, status) => {
                    let lack = connect_required::ConnectRequired::Account(status);
                    Box::pin(connect_required::respond(context, allowed, lack, &body, record)).await
                }
            }
        }
        Method::GET => relay::get(context, upstreams, &authenticated, &head.headers, record).await,
        Method::DELETE => relay::delete(context, upstreams, &authenticated, &head.headers, record).await,
        _ => Err(PipelineError::method_not_allowed()),
    }
}
