//! Finds the response to a request in an HTTP response: a JSON message, or an event of a stream.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::header::SESSION_ID;
use crate::response::StreamMessage;
use crate::sse::{self, Splitter, TooLarge};

/// The complete response to a request.
pub struct Reply {
    status: StatusCode,
    session: Option<HeaderValue>,
    message: Option<Bytes>,
}

/// A JSON-RPC error.
#[derive(Debug, Deserialize)]
pub struct RpcError {
    /// Error code.
    pub code: i64,
    /// Description.
    #[serde(default)]
    pub message: String,
}

/// Members of a response. `null` counts as absent.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RpcError>,
}

impl Reply {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, message: Option<Bytes>) -> Self {
        Self { status, session: headers.get(SESSION_ID).cloned(), message }
    }

    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The id of the session that the origin opened.
    #[must_use]
    pub fn session(&self) -> Option<&HeaderValue> {
        self.session.as_ref()
    }

    /// The JSON-RPC response, as sent.
    #[must_use]
    pub fn message(&self) -> Option<&[u8]> {
        self.message.as_deref()
    }

    /// The result, if the request succeeded.
    #[must_use]
    pub fn result(&self) -> Option<&RawValue> {
        let members = self.members().filter(|members| self.status.is_success() && members.error.is_none())?;
        members.result
    }

    /// The JSON-RPC error, if the response is one.
    #[must_use]
    pub fn error(&self) -> Option<RpcError> {
        self.members()?.error
    }

    fn members(&self) -> Option<Members<'_>> {
        serde_json::from_slice(self.message.as_deref()?).ok()
    }
}

/// Reads the body of an HTTP response until the response to one request has arrived.
pub(super) struct ResponseReader {
    /// JSON text of the request's id.
    id: String,
    form: Form,
    /// Bytes that may still arrive.
    remaining: usize,
    limit: usize,
}

enum Form {
    Json(BytesMut),
    Events(Splitter),
}

impl ResponseReader {
    pub(super) fn new(id: &str, headers: &HeaderMap, limit: usize) -> Self {
        let form = if is_event_stream(headers) {
            Form::Events(Splitter::new(limit))
        } else {
            Form::Json(BytesMut::new())
        };
        Self { id: serde_json::Value::from(id).to_string(), form, remaining: limit, limit }
    }

    /// Adds bytes of the body. Returns the response when it has arrived.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<Option<Bytes>, TooLarge> {
        self.remaining = self.remaining.checked_sub(chunk.len()).ok_or(TooLarge { limit: self.limit })?;
        match &mut self.form {
            Form::Json(body) => body.extend_from_slice(chunk),
            Form::Events(events) => {
                events.push(chunk);
                while let Some(event) = events.next_event()? {
                    let data = sse::data(&event);
                    if is_response_to(&self.id, &data, false) {
                        return Ok(Some(data.into_owned().into()));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Returns the response at the end of the body. The last event may lack its closing empty line.
    pub(super) fn finish(self) -> Option<Bytes> {
        match self.form {
            Form::Json(body) => Some(body.freeze()).filter(|body| is_response_to(&self.id, body, true)),
            Form::Events(mut events) => {
                let data = sse::data(&events.rest()).into_owned();
                is_response_to(&self.id, &data, false).then(|| data.into())
            }
        }
    }
}

/// Whether a message is the response to the request with this id. A request of the origin may have the same
/// id, but it has a method. An error without an id counts if nothing else can have caused it.
fn is_response_to(id: &str, message: &[u8], alone: bool) -> bool {
    StreamMessage::parse(message).is_ok_and(|message| match message.id {
        _ if message.method.is_some() => false,
        Some(answered) => answered.get() == id,
        None => alone && message.is_error(),
    })
}

/// Whether a response is an event stream.
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some(media) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}
