//! Third step: parses the request strictly, once, and opens its session.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Method as HttpMethod};
use hyper::body::Incoming;
use portcullis_mcp::client::MODERN_VERSION;
use portcullis_mcp::header;
use portcullis_mcp::message::Message;
use portcullis_mcp::method::Method;
use serde_json::value::RawValue;

use super::Context;
use super::audit_record::AuditRecord;
use super::authenticate::Authenticated;
use super::error::PipelineError;
use super::session::Session;
use crate::limits::{BodyError, TooMany, WholeBody, read_whole};

/// Maximum size of a request body.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// A request of a caller, and the caller's session.
pub(super) struct Parsed<'r> {
    authenticated: &'r Authenticated,
    kind: RequestKind<'r>,
    body: &'r Bytes,
    session: Option<Session>,
}

/// What a client requests.
#[expect(clippy::large_enum_variant, reason = "almost every request is a message")]
pub(super) enum RequestKind<'r> {
    /// POST: a message that every parser reads in the same way.
    Message(Message<'r>),
    /// GET: the stream for messages that a legacy origin sends on its own initiative.
    OpenStream,
    /// DELETE: the end of a legacy session.
    EndSession,
}

impl<'r> RequestKind<'r> {
    /// Whether the response is a stream that stays open until the client or the gateway ends it.
    fn is_open_ended(&self) -> bool {
        match self {
            Self::Message(message) => message.method == Method::Listen,
            Self::OpenStream => true,
            Self::EndSession => false,
        }
    }

    fn id(&self) -> Option<&'r RawValue> {
        match self {
            Self::Message(message) => message.id,
            Self::OpenStream | Self::EndSession => None,
        }
    }
}

/// Reads the complete body of a POST: policy applies to it before anything is forwarded.
pub(super) async fn read_body(
    context: &Context,
    by: &Authenticated,
    head: &Parts,
    body: &mut Option<Incoming>,
    record: &mut AuditRecord,
) -> Result<WholeBody, PipelineError> {
    let memory = by.memory(context);
    match head.method {
        HttpMethod::POST => {}
        HttpMethod::GET | HttpMethod::DELETE => return Ok(WholeBody { bytes: Bytes::new(), memory }),
        _ => return Err(PipelineError::method_not_allowed()),
    }
    if !header::is_json_body(&head.headers) {
        return Err(PipelineError::not_json());
    }
    if head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .is_some_and(|length: usize| length > MAX_REQUEST_BYTES)
    {
        return Err(PipelineError::request_too_large(MAX_REQUEST_BYTES));
    }
    let body = body.take().ok_or_else(PipelineError::incomplete_request)?;
    let body = read_whole(body, MAX_REQUEST_BYTES, memory).await.map_err(|error| match error {
        BodyError::TooLarge => PipelineError::request_too_large(MAX_REQUEST_BYTES),
        BodyError::Incomplete => PipelineError::incomplete_request(),
        BodyError::TooSlow => PipelineError::request_timeout(),
        BodyError::NoMemory => {
            context.limits.count_refused();
            PipelineError::no_memory(None)
        }
    })?;
    record.request_bytes(body.bytes.len());
    Ok(body)
}

impl<'r> Parsed<'r> {
    pub(super) fn parse(
        context: &Context,
        by: &'r Authenticated,
        head: &Parts,
        body: &'r Bytes,
        record: &mut AuditRecord,
    ) -> Result<Self, PipelineError> {
        let headers = &head.headers;
        let (kind, session) = match head.method {
            HttpMethod::POST => {
                let message = parse_message(headers, body, record)?;
                let session = session_of_message(context, by, headers, &message)?;
                (RequestKind::Message(message), session)
            }
            HttpMethod::GET => (RequestKind::OpenStream, legacy_session(context, by, headers)?),
            HttpMethod::DELETE => (RequestKind::EndSession, legacy_session(context, by, headers)?),
            _ => return Err(PipelineError::method_not_allowed()),
        };
        record.session(session.as_ref().map(Session::digest));
        if kind.is_open_ended() {
            record.become_stream().map_err(|limit: TooMany| {
                context.limits.count_refused();
                PipelineError::too_many(kind.id(), limit)
            })?;
        }
        Ok(Self { authenticated: by, kind, body, session })
    }

    pub(super) fn authenticated(&self) -> &'r Authenticated {
        self.authenticated
    }

    pub(super) fn kind(&self) -> &RequestKind<'r> {
        &self.kind
    }

    /// The message; `None` for GET and DELETE.
    pub(super) fn message(&self) -> Option<&Message<'r>> {
        match &self.kind {
            RequestKind::Message(message) => Some(message),
            RequestKind::OpenStream | RequestKind::EndSession => None,
        }
    }

    /// The JSON-RPC id, if the client waits for a JSON-RPC response.
    pub(super) fn id(&self) -> Option<&'r RawValue> {
        self.kind.id()
    }

    /// The body as received; empty for GET and DELETE.
    pub(super) fn body(&self) -> &'r Bytes {
        self.body
    }

    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether the client supports URL elicitation. Modern clients declare it in each request, legacy clients
    /// in `initialize`; of the legacy revisions only 2025-11-25 has it.
    pub(super) fn url_elicitation(&self) -> bool {
        match self.message() {
            Some(message) if message.modern => message.url_elicitation,
            _ => self.session.as_ref().is_some_and(Session::url_elicitation),
        }
    }
}

fn parse_message<'r>(
    headers: &HeaderMap,
    body: &'r Bytes,
    record: &mut AuditRecord,
) -> Result<Message<'r>, PipelineError> {
    let message = Message::parse(body).map_err(|error| PipelineError::malformed(&error))?;
    record.message(&message, headers);
    match header::find_mismatch(headers, &message) {
        Some(name) => Err(PipelineError::header_mismatch(message.id, &name)),
        None => Ok(message),
    }
}

/// A modern request has no session, even if it has the header (2026-07-28, basic/transports/streamable-http).
fn session_of_message(
    context: &Context,
    by: &Authenticated,
    headers: &HeaderMap,
    message: &Message<'_>,
) -> Result<Option<Session>, PipelineError> {
    if message.modern || message.method == Method::Initialize {
        return Ok(None);
    }
    Session::open(context, by, headers)
}

/// The session of a GET or DELETE, which only the legacy era has.
fn legacy_session(
    context: &Context,
    by: &Authenticated,
    headers: &HeaderMap,
) -> Result<Option<Session>, PipelineError> {
    let version = headers.get(header::PROTOCOL_VERSION);
    if version.is_some_and(|version| version.as_bytes() >= MODERN_VERSION.as_bytes()) {
        return Err(PipelineError::method_not_allowed());
    }
    Session::open(context, by, headers)
}
