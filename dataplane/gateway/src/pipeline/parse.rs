//! Third step: parses the message strictly, once, and opens its session.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use portcullis_mcp::header;
use portcullis_mcp::message::{Message, MessageKind};
use portcullis_mcp::method::Method;

use super::Context;
use super::audit_record::AuditRecord;
use super::authenticate::Authenticated;
use super::error::PipelineError;
use super::session::Session;

/// Maximum size of a request body.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Deadline for reading a request body.
const REQUEST_READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A message that every parser reads in the same way, and the caller's session.
pub(super) struct Parsed<'r> {
    authenticated: &'r Authenticated,
    message: Message<'r>,
    session: Option<Session>,
}

/// Reads the complete body: policy applies to it before anything is forwarded.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: &mut Option<Incoming>,
    record: &mut AuditRecord,
) -> Result<Bytes, PipelineError> {
    if !is_json(headers) {
        return Err(PipelineError::not_json());
    }
    if headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .is_some_and(|length: usize| length > MAX_REQUEST_BYTES)
    {
        return Err(PipelineError::request_too_large(MAX_REQUEST_BYTES));
    }
    let body = body.take().ok_or_else(PipelineError::incomplete_request)?;
    let whole = tokio::time::timeout(REQUEST_READ_TIMEOUT, Limited::new(body, MAX_REQUEST_BYTES).collect());
    let body = whole.await.map_err(|_| PipelineError::incomplete_request())?.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            PipelineError::request_too_large(MAX_REQUEST_BYTES)
        } else {
            PipelineError::incomplete_request()
        }
    })?;
    let body = body.to_bytes();
    record.request_bytes(body.len());
    Ok(body)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    value.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

impl<'r> Parsed<'r> {
    pub(super) fn parse(
        context: &Context,
        by: &'r Authenticated,
        headers: &HeaderMap,
        body: &'r [u8],
        record: &mut AuditRecord,
    ) -> Result<Self, PipelineError> {
        let message = Message::parse(body).map_err(|error| PipelineError::malformed(&error))?;
        record.message(&message, headers);
        if let Some(name) = header::find_mismatch(headers, &message) {
            return Err(PipelineError::header_mismatch(message.id, &name));
        }
        // A modern request has no session, even if it has the header (2026-07-28,
        // basic/transports/streamable-http).
        let session = if message.modern || message.method == Method::Initialize {
            None
        } else {
            Session::open(context, by, headers)?
        };
        record.session(session.as_ref().map(Session::digest));
        Ok(Self { authenticated: by, message, session })
    }

    pub(super) fn authenticated(&self) -> &'r Authenticated {
        self.authenticated
    }

    pub(super) fn message(&self) -> &Message<'r> {
        &self.message
    }

    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    pub(super) fn is_request(&self) -> bool {
        self.message.kind == MessageKind::Request
    }

    /// Whether the client supports URL elicitation. Modern clients declare it in each request, legacy clients
    /// in `initialize`; of the legacy revisions only 2025-11-25 has it.
    pub(super) fn url_elicitation(&self) -> bool {
        if self.message.modern {
            self.message.url_elicitation
        } else {
            self.session.as_ref().is_some_and(Session::url_elicitation)
        }
    }
}
