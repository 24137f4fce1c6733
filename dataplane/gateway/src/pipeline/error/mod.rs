//! JSON-RPC errors that the gateway itself answers with: HTTP status, code, stable reason and a message for
//! the user.

#[cfg(test)]
mod golden;
mod limits;
mod upstream;

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use portcullis_events::{EventKind, FailureOrigin, Outcome};
use portcullis_mcp::error::{self, code};
use portcullis_mcp::message::{Message, MessageError};
use serde_json::json;
use serde_json::value::RawValue;

use super::audit_record::AuditRecord;
use super::body::{self, Body};

/// A rejected request. The response is a JSON-RPC error with the id of the request, if it is known.
pub(crate) struct PipelineError(Box<ErrorDetails>);

struct ErrorDetails {
    status: StatusCode,
    code: i64,
    reason: &'static str,
    message: String,
    id: Option<Box<RawValue>>,
    header: Option<(HeaderName, HeaderValue)>,
    event: Option<EventKind>,
    outcome: Outcome,
    failure: FailureOrigin,
}

impl ErrorDetails {
    /// JSON text of the JSON-RPC error.
    fn to_json(&self) -> Vec<u8> {
        error::error(self.id.as_deref(), self.code, &self.message, json!({ "reason": self.reason }))
    }
}

impl PipelineError {
    fn new(status: StatusCode, code: i64, reason: &'static str, message: impl Into<String>) -> Self {
        let (outcome, failure) = if status.is_server_error() {
            (Outcome::GatewayError, FailureOrigin::Gateway)
        } else {
            (Outcome::ClientError, FailureOrigin::Client)
        };
        let message = message.into();
        Self(Box::new(ErrorDetails {
            status,
            code,
            reason,
            message,
            id: None,
            header: None,
            event: None,
            outcome,
            failure,
        }))
    }

    fn with_id(mut self, id: Option<&RawValue>) -> Self {
        self.0.id = id.map(ToOwned::to_owned);
        self
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// Records the event as a policy denial.
    fn denied(mut self) -> Self {
        (self.0.event, self.0.outcome, self.0.failure) =
            (Some(EventKind::PolicyDenied), Outcome::Denied, FailureOrigin::Client);
        self
    }

    fn upstream(mut self) -> Self {
        (self.0.outcome, self.0.failure) = (Outcome::UpstreamError, FailureOrigin::Upstream);
        self
    }

    fn unavailable(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::GATEWAY, reason, message)
            .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// Records this error of a response that is being relayed. Returns the JSON-RPC error for the client.
    pub(super) fn in_relayed_response(&self, record: &mut AuditRecord) -> Vec<u8> {
        record.set_outcome(self.0.outcome, self.0.failure, self.0.reason);
        self.0.to_json()
    }

    /// Returns the error response and records the event.
    pub(super) fn respond(self, mut record: AuditRecord) -> Response<Body> {
        let mut parts = *self.0;
        // A notification gets no JSON-RPC response, so a rejected one gets an HTTP error status (2025-11-25,
        // basic/transports, "Sending Messages to the Server").
        if parts.id.is_none() && parts.status == StatusCode::OK {
            parts.status = StatusCode::FORBIDDEN;
        }
        let message = parts.to_json();
        record.finish_rejected(
            parts.event,
            (parts.outcome, parts.failure, parts.reason),
            &parts.message,
            parts.status,
            message.len(),
        );
        let mut response = body::json(parts.status, message);
        if let Some((name, value)) = parts.header {
            response.headers_mut().insert(name, value);
        }
        response
    }

    pub(super) fn no_such_route(slug: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code::INVALID_REQUEST,
            "no_such_route",
            format!(
                "No virtual MCP exists at /mcp/{slug}. Check the URL with the person who gave it to you."
            ),
        )
    }

    pub(super) fn unauthenticated(challenge: HeaderValue) -> Self {
        let mut refusal = Self::new(
            StatusCode::UNAUTHORIZED,
            code::GATEWAY,
            "unauthenticated",
            "The access token is missing or invalid for this URL. The WWW-Authenticate header says where to get one.",
        )
        .with_header(WWW_AUTHENTICATE, challenge)
        .denied();
        refusal.0.event = Some(EventKind::Unauthenticated);
        refusal
    }

    pub(super) fn insufficient_scope(challenge: HeaderValue) -> Self {
        let mut refusal = Self::new(
            StatusCode::FORBIDDEN,
            code::GATEWAY,
            "insufficient_scope",
            "The access token lacks a required scope. The WWW-Authenticate header lists the scopes to request.",
        )
        .with_header(WWW_AUTHENTICATE, challenge)
        .denied();
        refusal.0.event = Some(EventKind::Unauthenticated);
        refusal
    }

    pub(super) fn store_unavailable() -> Self {
        Self::unavailable("store_unavailable", "The gateway cannot reach its database. Try again shortly.")
    }

    /// Sends no `WWW-Authenticate` header with `insufficient_scope`: signing in again would not change the
    /// user's access, and clients would repeat the sign-in endlessly.
    pub(super) fn no_access(route: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            code::GATEWAY,
            "no_access",
            format!(
                "You have no access to {route}. Ask an administrator to add you to a team that has access."
            ),
        )
        .denied()
    }

    pub(super) fn suspended(route: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            code::GATEWAY,
            "suspended",
            format!(
                "An administrator suspended {route}. Ask an administrator when it will be available again."
            ),
        )
        .denied()
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            code::INVALID_REQUEST,
            "method_not_allowed",
            "Method not allowed. Use POST, GET or DELETE (MCP, Streamable HTTP).",
        )
        .with_header(ALLOW, HeaderValue::from_static("POST, GET, DELETE"))
    }

    pub(super) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code::INVALID_REQUEST,
            "not_json",
            "Unsupported Content-Type or Content-Encoding. Send messages as application/json in UTF-8, not compressed.",
        )
    }

    pub(super) fn request_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            code::INVALID_REQUEST,
            "request_too_large",
            format!("The message exceeds the limit of {limit} bytes. Send a smaller message."),
        )
        .denied()
    }

    pub(super) fn incomplete_request() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            code::INVALID_REQUEST,
            "broken_request",
            "The request body is incomplete. Send the request again.",
        )
    }

    pub(super) fn malformed(error: &MessageError) -> Self {
        let code =
            if matches!(error, MessageError::Json(_)) { code::PARSE_ERROR } else { code::INVALID_REQUEST };
        Self::new(StatusCode::BAD_REQUEST, code, "malformed_message", error.to_string())
    }

    pub(super) fn header_mismatch(id: Option<&RawValue>, name: &HeaderName) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            code::HEADER_MISMATCH,
            "header_mismatch",
            format!("Header mismatch: {name} does not match the request body"),
        )
        .with_id(id)
        .denied()
    }

    pub(super) fn unknown_session() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code::INVALID_REQUEST,
            "unknown_session",
            "The session is unknown or expired. Initialize a new session.",
        )
    }

    pub(super) fn session_too_large() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "session_too_large",
            "The session id is too long for a header. Contact an administrator.",
        )
        .upstream()
    }

    pub(super) fn randomness_unavailable() -> Self {
        Self::unavailable(
            "no_randomness",
            "The gateway cannot generate random values at the moment. Try again shortly.",
        )
    }

    pub(super) fn missing_parameter(id: Option<&RawValue>, method: &str, key: &str) -> Self {
        Self::new(
            StatusCode::OK,
            code::INVALID_PARAMS,
            "missing_parameter",
            format!("{method} requires the parameter {key:?}"),
        )
        .with_id(id)
    }

    pub(super) fn unknown_tool(id: Option<&RawValue>, name: &str) -> Self {
        Self::new(StatusCode::OK, code::INVALID_PARAMS, "tool_not_allowed", format!("Unknown tool: {name}"))
            .with_id(id)
            .denied()
    }

    pub(super) fn unknown_prompt(id: Option<&RawValue>, name: &str) -> Self {
        Self::new(
            StatusCode::OK,
            code::INVALID_PARAMS,
            "prompt_not_allowed",
            format!("Unknown prompt: {name}"),
        )
        .with_id(id)
        .denied()
    }

    pub(super) fn unknown_resource(message: &Message<'_>, uri: &str) -> Self {
        let code = if message.modern { code::INVALID_PARAMS } else { code::RESOURCE_NOT_FOUND };
        Self::new(StatusCode::OK, code, "resource_not_allowed", format!("Resource not found: {uri}"))
            .with_id(message.id)
            .denied()
    }

    pub(super) fn unknown_method(message: &Message<'_>) -> Self {
        // The modern era requires 404 (2026-07-28, basic/transports/streamable-http, "Protocol Version
        // Header").
        let status = if message.modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Self::new(
            status,
            code::METHOD_NOT_FOUND,
            "method_not_known",
            format!("Method not found: {}", message.method_name),
        )
        .with_id(message.id)
    }

    pub(super) fn too_many_subscriptions(message: &Message<'_>, limit: usize) -> Self {
        Self::new(
            StatusCode::OK,
            code::INVALID_PARAMS,
            "too_many_subscriptions",
            format!("A request can subscribe to {limit} resources. Use several requests."),
        )
        .with_id(message.id)
        .denied()
    }

    /// The notification may concern a capability that the route hides.
    pub(super) fn unknown_notification(message: &Message<'_>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            code::METHOD_NOT_FOUND,
            "notification_not_known",
            format!(
                "Unknown notification: {}. This virtual MCP is curated, so it accepts only the notifications that MCP defines.",
                message.method_name
            ),
        )
        .denied()
    }

    /// All users of the route share one credential at the origin.
    pub(super) fn tasks_not_available(message: &Message<'_>, origin: &str) -> Self {
        let status = if message.modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Self::new(
            status,
            code::METHOD_NOT_FOUND,
            "tasks_not_available",
            format!(
                "Tasks are not available here: {origin} cannot tell the users of this virtual MCP apart. Send the request without a task."
            ),
        )
        .with_id(message.id)
        .denied()
    }
}
