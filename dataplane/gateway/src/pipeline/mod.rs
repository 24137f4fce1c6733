//! The way of a request. Each step is a type that only the step before can make, so that leaving one out does not compile:
//!
//! ```text
//! Routed        which virtual MCP                        route.rs
//! Authenticated whose token, and may they use it         principal.rs
//! Received      one strict reading of the message        message.rs, session.rs
//! Allowed       access and curation of what it names     access.rs
//! Armed         the credential of this user there        credential.rs, unconnected.rs
//! answer        relayed, curated, recorded               courier.rs, relay.rs, answer.rs, stream.rs
//! ```
//!
//! What few requests need is boxed (`Box::pin`): a request's future is moved from hand to hand, and is as large as the largest of what it
//! may wait for.
//!
//! Every exit leaves one event: [`record::Record`] is made at the start and writes itself at the end, however that comes.
//!
//! *Architecture invariant:* a step reads what the steps before made and nothing of those after; the route table is taken once.

mod access;
mod answer;
mod body;
mod courier;
mod credential;
mod discard;
mod exchange;
#[cfg(test)]
mod golden;
mod headers;
mod late;
mod message;
mod principal;
mod record;
mod refusal;
mod relay;
mod route;
mod session;
mod stream;
mod templates;
mod unconnected;
mod waiting;
mod watch;

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use portcullis_ambient::{Clock, Random};
use portcullis_events::EventSink;
use portcullis_identity::Identity;
use portcullis_keys::Keys;
use portcullis_policy::Tables;
use portcullis_portal::Portal;
use portcullis_store::Store;
use portcullis_vault::Vault;

pub(crate) use body::Body;
pub(crate) use discard::discard;
pub(crate) use late::LateSessions;

use crate::catalog::Catalogs;
use crate::ending::Ending;
use crate::pipeline::record::Record;
use crate::pipeline::refusal::Refusal;
use crate::upstream::Upstreams;

/// What the steps work with. One for the process; [`Upstreams`] is each worker's own.
pub(crate) struct Context {
    pub(crate) tables: Tables,
    pub(crate) identity: Identity,
    pub(crate) portal: Portal,
    pub(crate) vault: Vault,
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keys>,
    pub(crate) catalogs: Catalogs,
    pub(crate) late: LateSessions,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) events: EventSink,
    pub(crate) ending: Ending,
}

/// Serves one request to `/mcp/{slug}`.
pub(crate) async fn serve(
    context: &Arc<Context>,
    upstreams: &Arc<Upstreams>,
    slug: &str,
    request: Request<Incoming>,
) -> Response<Body> {
    let mut record = Record::new(context, &request);
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    match steps(context, upstreams, slug, head, &mut body, &mut record).await {
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
    upstreams: &Arc<Upstreams>,
    slug: &str,
    head: Parts,
    body: &mut Option<Incoming>,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    let routed = route::Routed::find(&context.tables, slug, record)?;
    let authenticated = principal::Authenticated::check(context, routed, &head.headers, record).await?;
    match head.method {
        Method::POST => {
            let body = message::read(&head.headers, body, record).await?;
            let received = message::Received::parse(context, &authenticated, &head.headers, &body, record)?;
            templates::learn(context, upstreams, &received, &head.headers).await?;
            let allowed = access::Allowed::check(context, received, record)?;
            match credential::Armed::take(context, upstreams, allowed, record).await? {
                credential::Arming::Armed(armed) if armed.allowed.is_connect() => {
                    Box::pin(unconnected::call_connect_tool(context, armed.allowed, &body, record)).await
                }
                credential::Arming::Armed(armed) => {
                    relay::post(context, upstreams, armed, &head.headers, &body, record).await
                }
                credential::Arming::Unconnected(allowed, status) => {
                    let lack = unconnected::Lack::Account(status);
                    Box::pin(unconnected::answer(context, allowed, lack, &body, record)).await
                }
            }
        }
        Method::GET => relay::get(context, upstreams, &authenticated, &head.headers, record).await,
        Method::DELETE => relay::delete(context, upstreams, &authenticated, &head.headers, record).await,
        _ => Err(Refusal::method_not_allowed()),
    }
}
