//! Every way in which the gateway itself says no, with its status, its code, its stable reason and a sentence that a person can
//! act on.

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use portcullis_events::{FailureOrigin, Kind, Outcome};
use portcullis_vault::CredentialError;
use portcullis_wire::error::{self, code};
use portcullis_wire::message::{Malformed, Message};
use serde_json::json;
use serde_json::value::RawValue;

use super::body::{self, Body};
use super::record::Record;
use crate::upstream::SendError;

/// A refusal. Its answer is a JSON-RPC error with the request's id, where that is known.
pub(crate) struct Refusal(Box<Parts>);

struct Parts {
    status: StatusCode,
    code: i64,
    reason: &'static str,
    message: String,
    id: Option<Box<RawValue>>,
    header: Option<(HeaderName, HeaderValue)>,
    event: Option<Kind>,
    outcome: Outcome,
    failure: FailureOrigin,
}

impl Refusal {
    fn new(status: StatusCode, code: i64, reason: &'static str, message: impl Into<String>) -> Self {
        let (outcome, failure) = if status.is_server_error() {
            (Outcome::GatewayError, FailureOrigin::Gateway)
        } else {
            (Outcome::ClientError, FailureOrigin::Client)
        };
        let message = message.into();
        Self(Box::new(Parts {
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

    /// Policy said no: an event of its own kind.
    fn denied(mut self) -> Self {
        (self.0.event, self.0.outcome, self.0.failure) =
            (Some(Kind::PolicyDenied), Outcome::Denied, FailureOrigin::Client);
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

    /// The answer; the event is written with it.
    pub(super) fn respond(self, mut record: Record) -> Response<Body> {
        let parts = *self.0;
        let message =
            error::error(parts.id.as_deref(), parts.code, &parts.message, json!({ "reason": parts.reason }));
        record.refused(
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

    pub(super) fn not_ready() -> Self {
        Self::unavailable("not_ready", "the gateway has no configuration yet; try again shortly")
    }

    pub(super) fn no_such_route(slug: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code::INVALID_REQUEST,
            "no_such_route",
            format!("there is no virtual MCP at /mcp/{slug}; check the URL with whoever gave it to you"),
        )
    }

    pub(super) fn unauthenticated(challenge: HeaderValue) -> Self {
        let mut refusal = Self::new(
            StatusCode::UNAUTHORIZED,
            code::GATEWAY,
            "unauthenticated",
            "a valid access token for this URL is needed; the WWW-Authenticate header says where to get one",
        )
        .with_header(WWW_AUTHENTICATE, challenge)
        .denied();
        refusal.0.event = Some(Kind::Unauthenticated);
        refusal
    }

    pub(super) fn store_unavailable() -> Self {
        Self::unavailable("store_unavailable", "the gateway cannot reach its database; try again shortly")
    }

    /// Deliberately without a `WWW-Authenticate` of `insufficient_scope`: signing in again would change nothing, and would send
    /// clients round in circles.
    pub(super) fn no_access(route: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            code::GATEWAY,
            "no_access",
            format!(
                "you have no access to {route}; ask an administrator to add you to a team that may use it"
            ),
        )
        .denied()
    }

    pub(super) fn suspended(route: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            code::GATEWAY,
            "suspended",
            format!("{route} has been suspended by an administrator"),
        )
        .denied()
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            code::INVALID_REQUEST,
            "method_not_allowed",
            "this endpoint takes POST, GET and DELETE (MCP, Streamable HTTP)",
        )
        .with_header(ALLOW, HeaderValue::from_static("POST, GET, DELETE"))
    }

    pub(super) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code::INVALID_REQUEST,
            "not_json",
            "the Content-Type of a message must be application/json",
        )
    }

    pub(super) fn request_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            code::INVALID_REQUEST,
            "request_too_large",
            format!("a message may have {limit} bytes at most"),
        )
        .denied()
    }

    pub(super) fn broken_request() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            code::INVALID_REQUEST,
            "broken_request",
            "the request's body did not arrive whole",
        )
    }

    pub(super) fn malformed(error: &Malformed) -> Self {
        let code =
            if matches!(error, Malformed::Json(_)) { code::PARSE_ERROR } else { code::INVALID_REQUEST };
        Self::new(StatusCode::BAD_REQUEST, code, "malformed_message", error.to_string())
    }

    pub(super) fn header_mismatch(id: Option<&RawValue>, name: &HeaderName) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            code::HEADER_MISMATCH,
            "header_mismatch",
            format!("Header mismatch: {name} does not say what the body says"),
        )
        .with_id(id)
        .denied()
    }

    pub(super) fn unknown_session() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code::INVALID_REQUEST,
            "unknown_session",
            "there is no such session; initialize a new one",
        )
    }

    pub(super) fn session_too_large() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "session_too_large",
            "the session id is too long to be passed on in a header",
        )
        .upstream()
    }

    pub(super) fn no_randomness() -> Self {
        Self::unavailable("no_randomness", "the gateway cannot make secrets at the moment; try again shortly")
    }

    pub(super) fn missing_parameter(id: Option<&RawValue>, method: &str, key: &str) -> Self {
        Self::new(
            StatusCode::OK,
            code::INVALID_PARAMS,
            "missing_parameter",
            format!("{method} needs the parameter {key:?}"),
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
        // 404 is what the modern era asks for (2026-07-28, basic/transports/streamable-http, "Protocol Version Header").
        let status = if message.modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Self::new(
            status,
            code::METHOD_NOT_FOUND,
            "method_not_known",
            format!("Method not found: {}", message.method_name),
        )
        .with_id(message.id)
    }

    /// There is nothing to go to the origin with, and nothing that the person could connect.
    pub(super) fn no_credential(id: Option<&RawValue>, origin: &str, error: &CredentialError) -> Self {
        match error {
            CredentialError::Rejected => Self::credential_rejected(id, origin),
            CredentialError::Refused(problem) => Self::new(
                StatusCode::OK,
                code::GATEWAY,
                "exchange_refused",
                format!("your sign-in gives you no access to {origin}: {problem}; ask an administrator"),
            )
            .with_id(id)
            .denied(),
            error => Self::credential_unavailable(id, &error.to_string()),
        }
    }

    fn credential_unavailable(id: Option<&RawValue>, problem: &str) -> Self {
        Self::unavailable(
            "credential_unavailable",
            format!("the credential for the origin is not to be had now: {problem}"),
        )
        .with_id(id)
    }

    pub(super) fn credential_rejected(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "credential_rejected",
            format!("{origin} does not accept the credential that an administrator configured for it"),
        )
        .with_id(id)
        .upstream()
    }

    pub(super) fn forbidden_upstream(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "forbidden_upstream",
            format!("{origin} does not let the connected account do this; connect an account that may, or ask there for the right"),
        )
        .with_id(id)
        .upstream()
    }

    /// `sentence` holds the link.
    pub(super) fn connect_needed(id: Option<&RawValue>, sentence: &str) -> Self {
        Self::new(StatusCode::OK, code::GATEWAY, "connect_needed", sentence).with_id(id).denied()
    }

    /// The person has to ask somebody, or to sign in again, before this can be served.
    pub(super) fn not_yet(id: Option<&RawValue>, reason: &'static str, sentence: &str) -> Self {
        Self::new(StatusCode::OK, code::GATEWAY, reason, sentence).with_id(id)
    }

    pub(super) fn upstream_failed(id: Option<&RawValue>, error: &SendError) -> Self {
        let reason = match error {
            SendError::Connect(error) if error.is_forbidden() => "upstream_address_refused",
            SendError::Connect(_) => "upstream_unreachable",
            SendError::Broken(_) => "upstream_broke_off",
            SendError::Url(_) => "upstream_url",
        };
        // The details are the operator's to see, not the client's: they would map the network behind the gateway.
        tracing::warn!(%error, reason, "an origin did not answer");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            reason,
            "the origin behind this virtual MCP did not answer; try again, and tell an administrator if it stays so",
        )
        .with_id(id)
        .upstream()
    }

    pub(super) fn upstream_timeout(id: Option<&RawValue>, limit_ms: u64) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            code::GATEWAY,
            "upstream_timeout",
            format!("the origin did not begin to answer within {limit_ms} ms"),
        )
        .with_id(id)
        .upstream()
    }

    pub(super) fn upstream_redirects(id: Option<&RawValue>, origin: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "upstream_redirects",
            format!("{origin} answers with a redirect, which is not followed; an administrator must configure its final URL"),
        )
        .with_id(id)
        .upstream()
    }

    pub(super) fn session_not_opened(status: StatusCode) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "session_not_opened",
            format!("the origin did not open a session (HTTP {}); initialize a new one", status.as_u16()),
        )
        .upstream()
    }

    pub(super) fn answer_broken_off(
        id: Option<&RawValue>,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        tracing::warn!(%error, "an origin broke off its answer");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "upstream_broke_off",
            "the origin broke off its answer; try again",
        )
        .with_id(id)
        .upstream()
    }

    pub(super) fn answer_too_large(id: Option<&RawValue>, limit: u64) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "answer_too_large",
            format!("the origin's answer is larger than the {limit} bytes that are allowed; ask for less at a time"),
        )
        .with_id(id)
        .upstream()
    }

    pub(super) fn answer_unreadable(id: Option<&RawValue>, problem: &str) -> Self {
        tracing::warn!(problem, "an origin's answer cannot be curated");
        Self::new(
            StatusCode::BAD_GATEWAY,
            code::GATEWAY,
            "answer_unreadable",
            "the origin's answer cannot be checked against policy, so it is not passed on",
        )
        .with_id(id)
        .upstream()
    }
}
