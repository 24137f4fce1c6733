//! The gateway's own reader: what the gateway accepts, what it reads, and what an origin receives.
//!
//! The checks are those of `dataplane/gateway/src/pipeline/parse.rs`, and those of `authorize.rs` that hold on
//! every route: a request needs a known method, and the parameter that names what it uses.

use http::HeaderMap;
use portcullis_mcp::header;
use portcullis_mcp::message::{JsonString, Message, MessageKind};
use portcullis_mcp::method::Method;

use crate::reading::{GatewayReading, Reading};
use crate::sample::Sample;

/// A message that the gateway forwards.
pub struct Accepted {
    /// What policy decides by.
    pub reading: GatewayReading,
    /// `Content-Type` that the origin receives.
    pub content_type: String,
}

/// Reads a message; `None` if the gateway rejects it on every route.
pub fn read(sample: &Sample) -> Option<Accepted> {
    let headers = sample.header_map()?;
    let content_type = accept_headers(&headers)?;
    let message = Message::parse(&sample.body).ok()?;
    if header::find_mismatch(&headers, &message).is_some() || !is_permitted_somewhere(&message) {
        return None;
    }
    let mut reading = reading(&message);
    reading.shared.cursor = Some(cursor(&message, sample));
    Some(Accepted { reading, content_type })
}

/// The media type that the origin receives, if the gateway accepts these headers.
#[cfg(not(feature = "before"))]
fn accept_headers(headers: &HeaderMap) -> Option<String> {
    header::is_json_body(headers).then(|| "application/json".to_owned())
}

/// As the pipeline at 9bdd95a: parameters are ignored and forwarded.
#[cfg(feature = "before")]
fn accept_headers(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    let media = value.split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/json").then(|| value.to_owned())
}

fn is_permitted_somewhere(message: &Message<'_>) -> bool {
    match message.method {
        _ if message.kind == MessageKind::Response => true,
        Method::Unknown => message.kind != MessageKind::Request,
        Method::ToolsCall | Method::PromptsGet => message.name.is_some(),
        Method::ResourcesSubscribe if message.modern => false,
        Method::ResourcesRead | Method::ResourcesSubscribe => message.uri.is_some(),
        _ => true,
    }
}

fn reading(message: &Message<'_>) -> GatewayReading {
    let text = |text: &Option<JsonString<'_>>| text.as_ref().map(|text| text.value.clone().into_owned());
    let mut shared = Reading {
        kind: kind(message.kind).to_owned(),
        method: message.method_name.clone().into_owned(),
        ..Reading::default()
    };
    shared.version = Some(message.protocol_version.as_deref().map(str::to_owned));
    shared.name = Some(text(&message.name));
    shared.uri = Some(text(&message.uri));
    shared.task = Some(text(&message.task_id));
    shared.subscriptions =
        Some(message.subscriptions.iter().map(|uri| uri.value.clone().into_owned()).collect());
    GatewayReading {
        shared,
        reference_name: text(&message.reference_name),
        reference_uri: text(&message.reference_uri),
    }
}

#[cfg(not(feature = "before"))]
fn cursor(message: &Message<'_>, _: &Sample) -> Option<String> {
    message.cursor.as_deref().map(str::to_owned)
}

/// The reader knew only whether there is one. Other parts of the gateway did not read it either.
#[cfg(feature = "before")]
fn cursor(message: &Message<'_>, sample: &Sample) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&sample.body).ok()?;
    body["params"]["cursor"].as_str().filter(|_| message.has_cursor).map(str::to_owned)
}

/// Whether a rule that excludes this resource applies when a client names this URI. Where a rule exists,
/// an ambiguous URI is never readable.
#[cfg(not(feature = "before"))]
pub fn covers(uri: &str, resource: &str) -> bool {
    let Some(forms) = portcullis_config::ResourceUri::new(uri) else { return true };
    let rule: Vec<_> = portcullis_config::uri_rule_spellings(resource).collect();
    forms.any(|form| rule.iter().any(|rule| rule == form))
}

/// Rules were compared with the URI as it was written.
#[cfg(feature = "before")]
pub fn covers(uri: &str, resource: &str) -> bool {
    uri == resource
}

fn kind(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Request => "request",
        MessageKind::Notification => "notification",
        MessageKind::Response => "response",
    }
}
