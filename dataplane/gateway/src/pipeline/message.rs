//! Third step: the message, read once and strictly, and the session that it belongs to.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use portcullis_wire::header;
use portcullis_wire::message::{Message, Shape};
use portcullis_wire::method::Method;

use super::Context;
use super::principal::Authenticated;
use super::record::Record;
use super::refusal::Refusal;
use super::session::Session;

/// Larger requests are refused: a client sends arguments, not archives.
const REQUEST_LIMIT: usize = 4 * 1024 * 1024;
/// Whoever needs longer to send a request is not sending it.
const REQUEST_TIME: Duration = Duration::from_secs(60);

/// A message that every parser reads the same way, of a session that is its sender's own.
pub(super) struct Received<'r> {
    by: &'r Authenticated,
    message: Message<'r>,
    session: Option<Session>,
}

/// Reads the body whole: policy looks at it before anything is sent on.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Option<Incoming>,
    record: &mut Record,
) -> Result<Bytes, Refusal> {
    if !is_json(headers) {
        return Err(Refusal::not_json());
    }
    if headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .is_some_and(|length: usize| length > REQUEST_LIMIT)
    {
        return Err(Refusal::request_too_large(REQUEST_LIMIT));
    }
    let body = body.take().ok_or_else(Refusal::broken_request)?;
    let whole = tokio::time::timeout(REQUEST_TIME, Limited::new(body, REQUEST_LIMIT).collect());
    let body = whole.await.map_err(|_| Refusal::broken_request())?.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            Refusal::request_too_large(REQUEST_LIMIT)
        } else {
            Refusal::broken_request()
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

impl<'r> Received<'r> {
    pub(super) fn parse(
        context: &Context,
        by: &'r Authenticated,
        headers: &HeaderMap,
        body: &'r [u8],
        record: &mut Record,
    ) -> Result<Self, Refusal> {
        let message = Message::parse(body).map_err(|error| Refusal::malformed(&error))?;
        record.message(&message, headers);
        if let Some(name) = header::mismatch(headers, &message) {
            return Err(Refusal::header_mismatch(message.id, &name));
        }
        // A modern request has no session, whatever its headers say (2026-07-28, basic/transports/streamable-http).
        let session = if message.modern || message.method == Method::Initialize {
            None
        } else {
            Session::open(context, by, headers)?
        };
        record.session(session.as_ref().map(Session::digest));
        Ok(Self { by, message, session })
    }

    pub(super) fn by(&self) -> &'r Authenticated {
        self.by
    }

    pub(super) fn message(&self) -> &Message<'r> {
        &self.message
    }

    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    pub(super) fn is_request(&self) -> bool {
        self.message.shape == Shape::Request
    }

    /// Whether the client can be sent to a URL: it says so in each modern request, and once in the legacy era, where only
    /// 2025-11-25 has the means.
    pub(super) fn url_elicitation(&self) -> bool {
        if self.message.modern {
            self.message.url_elicitation
        } else {
            self.session.as_ref().is_some_and(Session::url_elicitation)
        }
    }
}
