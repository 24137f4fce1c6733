//! Sixth step: to the origin and back.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Response, StatusCode};
use portcullis_vault::CredentialError;
use portcullis_wire::answer::verdict;
use portcullis_wire::header::{self, PROTOCOL_VERSION, SESSION_ID};
use portcullis_wire::method::Method;
use serde_json::value::RawValue;

use super::Context;
use super::answer::{Curate, Curated};
use super::body::Body;
use super::courier::{Courier, Delivered};
use super::credential::{Armed, origin_session};
use super::exchange::{collect, is_events};
use super::headers;
use super::message::Received;
use super::principal::Authenticated;
use super::record::Record;
use super::refusal::Refusal;
use super::session::{Kind, Session};
use super::stream::Relayed;
use super::unconnected;
use super::waiting::{Waiting, complete};
use super::watch::Watch;
use crate::upstream::{Answer, Upstreams};

/// Answers up to this size are taken whole and passed on with their length; larger ones stream.
const SMALL: u64 = 32 * 1024;
/// The first stateless revision, where a route takes POST alone (2026-07-28, basic/transports/streamable-http).
const MODERN: &str = "2026-07-28";

/// Relays a message and its answer.
pub(super) async fn post(
    context: &Arc<Context>,
    upstreams: &Arc<Upstreams>,
    armed: Armed<'_>,
    client: &HeaderMap,
    body: &Bytes,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    let Armed { allowed, credential, origin_session } = armed;
    let received = allowed.received();
    let (by, message) = (received.by(), received.message());
    let mut outgoing = headers::to_origin(client);
    if let Some(name) = allowed.renamed()
        && (message.modern || outgoing.contains_key(header::NAME))
    {
        outgoing.insert(header::NAME, header::encode(name));
    }
    let courier = Courier {
        context,
        upstreams,
        by,
        id: message.id,
        method: HttpMethod::POST,
        headers: outgoing,
        session: origin_session.as_deref(),
        body: allowed.body(body),
    };
    match courier.send(credential, record).await? {
        Delivered::Answer(answer) => answered(context, received, answer, record).await,
        Delivered::Lacking(lack) => Box::pin(unconnected::answer(context, allowed, lack, body, record)).await,
    }
}

/// Relays the stream on which an origin of the legacy era speaks of its own.
pub(super) async fn get(
    context: &Arc<Context>,
    upstreams: &Arc<Upstreams>,
    by: &Authenticated,
    client: &HeaderMap,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    let session = legacy_session(context, by, client, record)?;
    let origin = &by.route().origin;
    let credential = match context.vault.credential(&by.caller().principal.id, origin).await {
        Ok(credential) => credential,
        Err(CredentialError::NotConnected(_)) => return Ok(Waiting::legacy(context, by, record).respond()),
        Err(error) => return Err(Refusal::no_credential(None, &origin.display_name, &error)),
    };
    record.auth_mode(credential.mode());
    let origin_session = origin_session(context, upstreams, by, session.as_ref(), &credential).await?;
    let headers = headers::to_origin(client);
    let session = origin_session.as_deref();
    let courier = Courier::without_message(context, upstreams, by, HttpMethod::GET, headers, session);
    match courier.send(credential, record).await? {
        Delivered::Answer(answer) => {
            record.open_ended();
            let curate = Curate::stream(&context.catalogs, by);
            let passage = Passage { context, by, id: None, record, stream: Stream::Open(None) };
            passage.pass(answer, curate, HeaderMap::new()).await
        }
        Delivered::Lacking(_) => Ok(Waiting::legacy(context, by, record).respond()),
    }
}

/// Relays the end of a session.
pub(super) async fn delete(
    context: &Arc<Context>,
    upstreams: &Arc<Upstreams>,
    by: &Authenticated,
    client: &HeaderMap,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    let session = legacy_session(context, by, client, record)?;
    let origin = &by.route().origin;
    let opened = match session.as_ref().map(Session::kind) {
        Some(Kind::Late { .. }) => context.late.opened(context, session.as_ref()).await?,
        _ => true,
    };
    let credential = match context.vault.credential(&by.caller().principal.id, origin).await {
        Ok(credential) if opened => credential,
        // Nothing is open at the origin, or nothing that could be closed there.
        Ok(_) | Err(CredentialError::NotConnected(_)) => {
            record.finished(StatusCode::OK, 0);
            return Ok(Response::new(Body::empty()));
        }
        Err(error) => return Err(Refusal::no_credential(None, &origin.display_name, &error)),
    };
    record.auth_mode(credential.mode());
    let origin_session = origin_session(context, upstreams, by, session.as_ref(), &credential).await?;
    let headers = headers::to_origin(client);
    let session = origin_session.as_deref();
    let courier = Courier::without_message(context, upstreams, by, HttpMethod::DELETE, headers, session);
    match courier.send(credential, record).await? {
        Delivered::Answer(answer) => {
            let curate = Curate::stream(&context.catalogs, by);
            let passage = Passage { context, by, id: None, record, stream: Stream::Call };
            passage.pass(answer, curate, HeaderMap::new()).await
        }
        Delivered::Lacking(_) => {
            record.finished(StatusCode::OK, 0);
            Ok(Response::new(Body::empty()))
        }
    }
}

fn legacy_session(
    context: &Context,
    by: &Authenticated,
    client: &HeaderMap,
    record: &mut Record,
) -> Result<Option<Session>, Refusal> {
    if client.get(PROTOCOL_VERSION).is_some_and(|version| version.as_bytes() >= MODERN.as_bytes()) {
        return Err(Refusal::method_not_allowed());
    }
    let session = Session::open(context, by, client)?;
    record.session(session.as_ref().map(Session::digest));
    Ok(session)
}

async fn answered(
    context: &Arc<Context>,
    received: &Received<'_>,
    answer: Answer,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    let (by, message) = (received.by(), received.message());
    let mut extra = HeaderMap::new();
    if message.method == Method::Initialize
        && let Some(id) = answer.response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok())
    {
        let sealed = Session::seal(context, by, Kind::Origin(id.to_owned()), message.url_elicitation)?;
        extra.insert(SESSION_ID, sealed);
    }
    let mut stream = Stream::Call;
    if message.method == Method::Listen {
        record.open_ended();
        let id = message.id.and_then(|id| serde_json::from_str(id.get()).ok());
        stream = Stream::Open(id.map(|id| complete(&id)));
    }
    let curate = Curate::answers(&context.catalogs, received);
    Passage { context, by, id: message.id, record, stream }.pass(answer, curate, extra).await
}

/// An answer's way from the origin to the client.
struct Passage<'a> {
    context: &'a Arc<Context>,
    by: &'a Authenticated,
    id: Option<&'a RawValue>,
    record: &'a mut Record,
    stream: Stream,
}

/// What a stream is for.
enum Stream {
    /// The answer to a call: it ends by itself, and a process that ends waits for it.
    Call,
    /// Whatever the origin may say some day. It ends with the process, with these words.
    Open(Option<Bytes>),
}

impl Passage<'_> {
    async fn pass(self, answer: Answer, curate: Curate, extra: HeaderMap) -> Result<Response<Body>, Refusal> {
        let Self { context, by, id, record, stream } = self;
        let origin = &by.route().origin;
        let limit = origin.limits.response_bytes;
        let Answer { response, lease } = answer;
        let (head, incoming) = response.into_parts();
        record.status(head.status);
        if head.status == StatusCode::FORBIDDEN {
            return Err(Refusal::forbidden_upstream(id, &origin.display_name));
        }
        if head.status.is_redirection() {
            return Err(Refusal::upstream_redirects(id, &origin.display_name));
        }
        if head.status.is_informational() {
            return Err(Refusal::answer_unreadable(
                id,
                "it would switch to another protocol, which was not asked for",
            ));
        }
        if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Refusal::answer_unreadable(id, "it is compressed, although that was not asked for"));
        }
        let mut headers = headers::to_client(&head.headers);
        headers.extend(extra);
        if is_events(&head.headers) {
            headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
            let (watch, farewell) = match stream {
                Stream::Call => (Watch::new(context, by), None),
                Stream::Open(farewell) => (Watch::open_ended(context, by), farewell),
            };
            let relayed =
                Relayed::events(incoming, lease, record.hand_over(), limit, curate, watch, farewell);
            return Ok(respond(head.status, headers, Body::stream(relayed)));
        }
        let length: Option<u64> =
            head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(Refusal::answer_too_large(id, limit));
        }
        let reads = head.status.is_success() && curate.must_read();
        if !reads && length.is_none_or(|length| length > SMALL) {
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            let relayed = Relayed::whole(incoming, lease, record.hand_over(), limit);
            return Ok(respond(head.status, headers, Body::stream(relayed)));
        }
        let waiting = Instant::now();
        let mut body = collect(incoming, limit, id).await?;
        record.waited(waiting.elapsed());
        lease.give_back();
        if reads {
            match curate.answer(&body) {
                Ok(Curated { changed, verdict }) => {
                    record.verdict(verdict);
                    body = changed.map_or(body, Into::into);
                }
                Err(error) => return Err(Refusal::answer_unreadable(id, &error.to_string())),
            }
        } else {
            record.verdict(verdict(&body));
        }
        record.finish(body.len() as u64);
        Ok(respond(head.status, headers, Body::whole(body)))
    }
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
