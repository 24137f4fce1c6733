//! Last step: relays the origin's response to the client.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use portcullis_mcp::client::is_event_stream;
use portcullis_mcp::header::SESSION_ID;
use portcullis_mcp::message::Message;
use portcullis_mcp::method::Method;
use portcullis_mcp::response::response_outcome;
use serde_json::value::RawValue;

use super::Context;
use super::audit_record::AuditRecord;
use super::authenticate::Authenticated;
use super::body::Body;
use super::connect_required;
use super::credential::Credentialed;
use super::curate::{Curated, Curator};
use super::error::PipelineError;
use super::exchange::collect;
use super::forward::{Forwarded, forward};
use super::headers;
use super::parse::{Parsed, RequestKind};
use super::placeholder_stream::subscription_complete_event;
use super::relayed_body::{Hold, RelayedBody};
use super::session::{Session, SessionKind};
use super::stream_guard::StreamGuard;
use crate::limits::WholeBody;
use crate::upstream::{OriginResponse, UpstreamPool};

/// Maximum size of a response that is buffered and sent with its length. Larger ones are streamed.
const MAX_BUFFERED_BYTES: u64 = 32 * 1024;

/// Relays a request and its response.
pub(super) async fn relay(
    context: &Arc<Context>,
    upstreams: &Arc<UpstreamPool>,
    credentialed: Credentialed<'_>,
    client: &HeaderMap,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    match forward(context, upstreams, credentialed, client, record).await? {
        Forwarded::Response(authorized, response) => {
            relay_response(context, authorized.parsed(), response, record).await
        }
        Forwarded::ConnectRequired(authorized, lack) => {
            let is_connect_tool = authorized.is_connect_tool();
            let parsed = authorized.parsed();
            Box::pin(connect_required::respond(context, parsed, is_connect_tool, lack, record)).await
        }
    }
}

/// The response to a DELETE if the origin has no such session, or it cannot be ended without a credential.
pub(super) fn session_ended(record: &mut AuditRecord) -> Response<Body> {
    record.finish_with_status(StatusCode::OK, 0);
    Response::new(Body::empty())
}

async fn relay_response(
    context: &Arc<Context>,
    parsed: &Parsed<'_>,
    response: OriginResponse,
    record: &mut AuditRecord,
) -> Result<Response<Body>, PipelineError> {
    let mut extra = HeaderMap::new();
    let stream = match parsed.kind() {
        RequestKind::Message(message) => {
            extra.extend(sealed_session(context, parsed, message, &response)?);
            match message.method {
                Method::Listen => {
                    let id = message.id.and_then(|id| serde_json::from_str(id.get()).ok());
                    StreamPurpose::OpenEnded(id.map(|id| subscription_complete_event(&id)))
                }
                _ => StreamPurpose::Call,
            }
        }
        RequestKind::OpenStream => StreamPurpose::OpenEnded(None),
        RequestKind::EndSession => StreamPurpose::Call,
    };
    if matches!(stream, StreamPurpose::OpenEnded(_)) {
        record.mark_open_ended();
    }
    let curate = Curator::new(&context.catalogs, parsed);
    let (by, id) = (parsed.authenticated(), parsed.id());
    ResponseRelay { context, authenticated: by, id, record, stream }.relay(response, curate, extra).await
}

/// The sealed id of the session that the origin opened with this response.
fn sealed_session(
    context: &Context,
    parsed: &Parsed<'_>,
    message: &Message<'_>,
    response: &OriginResponse,
) -> Result<Option<(HeaderName, HeaderValue)>, PipelineError> {
    let id = response.response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok());
    let Some(id) = id.filter(|_| message.method == Method::Initialize) else { return Ok(None) };
    let kind = SessionKind::Origin(id.to_owned());
    let sealed = Session::seal(context, parsed.authenticated(), kind, message.url_elicitation)?;
    Ok(Some((SESSION_ID, sealed)))
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
        check_head(&head, id, &origin.display_name)?;
        let mut headers = headers::to_client(&head.headers);
        headers.extend(extra);
        if is_event_stream(&head.headers) {
            headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
            let (watch, farewell) = match stream {
                StreamPurpose::Call => (StreamGuard::new(context, by), None),
                StreamPurpose::OpenEnded(farewell) => (StreamGuard::open_ended(context, by), farewell),
            };
            let (record, memory) = (record.hand_over(), by.memory(context));
            let relayed =
                RelayedBody::events(incoming, (lease, memory), record, limit, curate, watch, farewell);
            return Ok(respond(head.status, headers, Body::stream(relayed)));
        }
        let length: Option<u64> =
            head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(PipelineError::response_too_large(id, limit));
        }
        if !curate.must_buffer() && length.is_none_or(|length| length > MAX_BUFFERED_BYTES) {
            let hold = Hold::new(curate, id, limit, by.memory(context))
                .filter(|hold| head.status.is_success() && hold.fits(length));
            // The length of a response that is held back may change.
            if let (Some(length), None) = (length, &hold) {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            let relayed = RelayedBody::whole(incoming, lease, record.hand_over(), limit, hold);
            return Ok(respond(head.status, headers, Body::stream(relayed)));
        }
        let waiting = Instant::now();
        // The memory is counted until the response is complete.
        let WholeBody { bytes: mut body, memory: _memory } =
            collect(incoming, limit, by.memory(context), id).await?;
        record.add_upstream_time(waiting.elapsed());
        lease.release();
        if head.status.is_success() || curate.must_buffer() {
            match curate.curate_response(&body) {
                Ok(Curated { changed, verdict }) => {
                    record.response_outcome(verdict);
                    body = changed.map_or(body, Into::into);
                }
                Err(error) if head.status.is_success() => {
                    return Err(error.for_client(id, curate.origin_name()));
                }
                // The status tells the client what failed, for example that its session has expired. The body
                // may contain what is hidden from the user.
                Err(error) => {
                    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    body = error.for_client(id, curate.origin_name()).in_relayed_response(record).into();
                }
            }
        } else {
            // To clients a body with an error status is no response, whatever it contains.
            record.response_outcome(response_outcome(&body));
        }
        record.finish(body.len() as u64);
        Ok(respond(head.status, headers, Body::whole(body)))
    }
}

/// Rejects responses whose body must not be relayed.
fn check_head(head: &Parts, id: Option<&RawValue>, origin: &str) -> Result<(), PipelineError> {
    if head.status == StatusCode::FORBIDDEN {
        return Err(PipelineError::upstream_forbidden(id, origin));
    }
    if head.status.is_redirection() {
        return Err(PipelineError::upstream_redirects(id, origin));
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
    Ok(())
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
