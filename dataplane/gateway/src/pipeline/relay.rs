//! Sixth step: relays requests to the origin and responses to the client.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Response, StatusCode};
use portcullis_mcp::header::{self, PROTOCOL_VERSION, SESSION_ID};
use portcullis_mcp::method::Method;
use portcullis_mcp::response::response_outcome;
use portcullis_origin_auth::CredentialError;
use serde_json::value::RawValue;

use super::Context;
use super::audit_record::AuditRecord;
use super::authenticate::Authenticated;
use super::body::Body;
use super::connect_required;
use super::credential::{Credentialed, origin_session};
use super::curate::{Curated, Curator};
use super::error::PipelineError;
use super::exchange::{collect, is_event_stream};
use super::forward::{ForwardOutcome, Forwarder};
use super::headers;
use super::parse::Parsed;
use super::placeholder_stream::{PlaceholderStream, subscription_complete_event};
use super::relayed_body::RelayedBody;
use super::session::{Session, SessionKind};
use super::stream_guard::StreamGuard;
use crate::upstream::{OriginResponse, UpstreamPool};

/// Maximum size of a response that is buffered and sent with its length. Larger ones are streamed.
const MAX_BUFFERED_BYTES: u64 = 32 * 1024;
/// The first stateless revision, which allows only POST (2026-07-28, basic/transports/streamable-http).
const FIRST_MODERN_VERSION: &str = "2026-07-28";

/// Relays a message and its response.
pub(super) async fn post(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    armed: Credentialed<'_>,
    client: &HeaderMap,
    body: &Bytes,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let Credentialed { authorized: allowed, credential, origin_session } = armed;
    let received = allowed.parsed();
    let (by, message) = (received.authenticated(), received.message());
    let mut outgoing = headers::to_origin(client);
    if let Some(name) = allowed.original_name()
        && (message.modern || outgoing.contains_key(header::NAME))
    {
        outgoing.insert(header::NAME, header::encode(name));
    }
    let forwarder = Forwarder {
        context,
        upstreams,
        authenticated: by,
        id: message.id,
        method: HttpMethod::POST,
        headers: outgoing,
        session: origin_session.as_deref(),
        body: allowed.body(body),
    };
    match forwarder.send(credential, record).await? {
        ForwardOutcome::OriginResponse(answer) => relay_response(context, received, answer, record).await,
        ForwardOutcome::ConnectRequired(lack) => {
            Box::pin(connect_required::respond(context, allowed, lack, body, record)).await
        }
    }
}

/// Relays the stream for messages that a legacy origin sends on its own initiative.
pub(super) async fn get(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    by: &Authenticated,
    client: &HeaderMap,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let session = legacy_session(context, by, client, record)?;
    let origin = &by.route().origin;
    let credential = match context.vault.credential(&by.caller().principal.id, origin).await {
        Ok(credential) => credential,
        Err(CredentialError::NotConnected(_)) => {
            return Ok(PlaceholderStream::legacy(context, by, record).respond());
        }
        Err(error) => return Err(PipelineError::credential_error(None, &origin.display_name, &error)),
    };
    record.auth_mode(credential.mode());
    let origin_session = origin_session(context, upstreams, by, session.as_ref(), &credential).await?;
    let headers = headers::to_origin(client);
    let session = origin_session.as_deref();
    let forwarder = Forwarder::without_message(context, upstreams, by, HttpMethod::GET, headers, session);
    match forwarder.send(credential, record).await? {
        ForwardOutcome::OriginResponse(answer) => {
            record.mark_open_ended();
            let curate = Curator::for_stream(&context.catalogs, by);
            let relay = ResponseRelay {
                context,
                authenticated: by,
                id: None,
                record,
                stream: StreamPurpose::OpenEnded(None),
            };
            relay.relay(answer, curate, HeaderMap::new()).await
        }
        ForwardOutcome::ConnectRequired(_) => Ok(PlaceholderStream::legacy(context, by, record).respond()),
    }
}

/// Relays the request that ends a session.
pub(super) async fn delete(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    by: &Authenticated,
    client: &HeaderMap,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let session = legacy_session(context, by, client, record)?;
    let origin = &by.route().origin;
    let opened = match session.as_ref().map(Session::kind) {
        Some(SessionKind::Deferred { .. }) => {
            context.deferred_sessions.is_opened(context, session.as_ref()).await?
        }
        _ => true,
    };
    let credential = match context.vault.credential(&by.caller().principal.id, origin).await {
        Ok(credential) if opened => credential,
        // No session is open at the origin, or it cannot be closed without a credential.
        Ok(_) | Err(CredentialError::NotConnected(_)) => {
            record.finish_with_status(StatusCode::OK, 0);
            return Ok(Response::new(Body::empty()));
        }
        Err(error) => return Err(PipelineError::credential_error(None, &origin.display_name, &error)),
    };
    record.auth_mode(credential.mode());
    let origin_session = origin_session(context, upstreams, by, session.as_ref(), &credential).await?;
    let headers = headers::to_origin(client);
    let session = origin_session.as_deref();
    let forwarder = Forwarder::without_message(context, upstreams, by, HttpMethod::DELETE, headers, session);
    match forwarder.send(credential, record).await? {
        ForwardOutcome::OriginResponse(answer) => {
            let curate = Curator::for_stream(&context.catalogs, by);
            let relay =
                ResponseRelay { context, authenticated: by, id: None, record, stream: StreamPurpose::Call };
            relay.relay(answer, curate, HeaderMap::new()).await
        }
        ForwardOutcome::ConnectRequired(_) => {
            record.finish_with_status(StatusCode::OK, 0);
            Ok(Response::new(Body::empty()))
        }
    }
}

fn legacy_session(
    context: &Context,
    by: &Authenticated,
    client: &HeaderMap,
    record: &mut AuditRecord,
) -> Result<Option<Session>, PipelineError> {
    if client
        .get(PROTOCOL_VERSION)
        .is_some_and(|version| version.as_bytes() >= FIRST_MODERN_VERSION.as_bytes())
    {
        return Err(PipelineError::method_not_allowed());
    }
    let session = Session::open(context, by, client)?;
    record.session(session.as_ref().map(Session::digest));
    Ok(session)
}

async fn relay_response(
    context: &Arc<Context>,
    received: &Parsed<'_>,
    answer: OriginResponse,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let (by, message) = (received.authenticated(), received.message());
    let mut extra = HeaderMap::new();
    if message.method == Method::Initialize
        && let Some(id) = answer.response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok())
    {
        let sealed = Session::seal(context, by, SessionKind::Origin(id.to_owned()), message.url_elicitation)?;
        extra.insert(SESSION_ID, sealed);
    }
    let mut stream = StreamPurpose::Call;
    if message.method == Method::Listen {
        record.mark_open_ended();
        let id = message.id.and_then(|id| serde_json::from_str(id.get()).ok());
        stream = StreamPurpose::OpenEnded(id.map(|id| subscription_complete_event(&id)));
    }
    let curate = Curator::for_request(&context.catalogs, received);
    ResponseRelay { context, authenticated: by, id: message.id, record, stream }
        .relay(answer, curate, extra)
        .await
}

/// Relays a response from the origin to the client.
struct ResponseRelay<'a> {
    context: &'a Arc<Context>,
    authenticated: &'a Authenticated,
    id: Option<&'a RawValue>,
    record: &'a mut AuditRecord,
    stream: StreamPurpose,
}

/// Purpose of a stream.
enum StreamPurpose {
    /// The response to a call. It ends, and a process that shuts down waits for it.
    Call,
    /// Messages on the origin's initiative. The stream ends when the process shuts down, with this event.
    OpenEnded(Option<Bytes>),
}

impl ResponseRelay<'_> {
    async fn relay(
        self,
        answer: OriginResponse,
        curate: Curator,
        extra: HeaderMap,
    ) -> Result<Response<Body>, PipelineError> {
        let Self { context, authenticated: by, id, record, stream } = self;
        let origin = &by.route().origin;
        let limit = origin.limits.response_bytes;
        let OriginResponse { response, lease } = answer;
        let (head, incoming) = response.into_parts();
        record.status(head.status);
        if head.status == StatusCode::FORBIDDEN {
            return Err(PipelineError::upstream_forbidden(id, &origin.display_name));
        }
        if head.status.is_redirection() {
            return Err(PipelineError::upstream_redirects(id, &origin.display_name));
        }
        if head.status.is_informational() {
            return Err(PipelineError::response_unreadable(id, "unexpected informational status (1xx)"));
        }
        if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(PipelineError::response_unreadable(
                id,
                "unexpected Content-Encoding, although the request did not accept any",
            ));
        }
        let mut headers = headers::to_client(&head.headers);
        headers.extend(extra);
        if is_event_stream(&head.headers) {
            headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
            let (watch, farewell) = match stream {
                StreamPurpose::Call => (StreamGuard::new(context, by), None),
                StreamPurpose::OpenEnded(farewell) => (StreamGuard::open_ended(context, by), farewell),
            };
            let relayed =
                RelayedBody::events(incoming, lease, record.hand_over(), limit, curate, watch, farewell);
            return Ok(respond(head.status, headers, Body::stream(relayed)));
        }
        let length: Option<u64> =
            head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(PipelineError::response_too_large(id, limit));
        }
        let reads = head.status.is_success() && curate.must_buffer();
        if !reads && length.is_none_or(|length| length > MAX_BUFFERED_BYTES) {
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            let relayed = RelayedBody::whole(incoming, lease, record.hand_over(), limit);
            return Ok(respond(head.status, headers, Body::stream(relayed)));
        }
        let waiting = Instant::now();
        let mut body = collect(incoming, limit, id).await?;
        record.add_upstream_time(waiting.elapsed());
        lease.release();
        if reads {
            match curate.curate_response(&body) {
                Ok(Curated { changed, verdict }) => {
                    record.response_outcome(verdict);
                    body = changed.map_or(body, Into::into);
                }
                Err(error) => return Err(PipelineError::response_unreadable(id, &error.to_string())),
            }
        } else {
            record.response_outcome(response_outcome(&body));
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
