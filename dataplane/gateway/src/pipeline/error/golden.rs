//! Golden test of the gateway's own JSON-RPC errors: status, code, reason, headers and event.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use portcullis_egress::EgressError;
use portcullis_golden::assert_golden;
use portcullis_origin_auth::{ConnectionStatus, CredentialError};
use serde_json::Value;

use super::*;
use crate::golden::pretty;
use crate::limits::TooMany;
use crate::upstream::{OriginUrlError, SendError};

async fn seen(refusal: PipelineError) -> Value {
    let ErrorDetails { event, outcome, failure, .. } = &*refusal.0;
    let event = json!({"event": event, "outcome": outcome, "failure_origin": failure});
    let (head, body) = refusal.respond(AuditRecord::disabled()).into_parts();
    let body = body.collect().await.ok().unwrap().to_bytes();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    body["error"].as_object_mut().unwrap().remove("message");
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name != http::header::CONTENT_LENGTH)
            .then(|| (name.to_string(), Value::from(value.to_str().unwrap())))
    };
    let headers: Value = head.headers.iter().filter_map(header).collect();
    json!({"status": head.status.as_u16(), "headers": headers, "body": body, "event": event})
}

fn of_requests(id: Option<&RawValue>) -> Vec<PipelineError> {
    let parse = |text: &'static str| Message::parse(text.as_bytes()).unwrap();
    let legacy = parse(r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x:y"}}"#);
    let modern = parse(
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x:y",
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    );
    let malformed =
        |text: &'static str| PipelineError::malformed(&Message::parse(text.as_bytes()).unwrap_err());
    vec![
        PipelineError::no_such_route("x"),
        PipelineError::unauthenticated(HeaderValue::from_static("Bearer")),
        PipelineError::insufficient_scope(HeaderValue::from_static("Bearer")),
        PipelineError::store_unavailable(),
        PipelineError::no_access(""),
        PipelineError::suspended(""),
        PipelineError::method_not_allowed(),
        PipelineError::not_json(),
        PipelineError::request_too_large(1),
        PipelineError::incomplete_request(),
        malformed("x"),
        malformed("[]"),
        malformed("{}"),
        PipelineError::header_mismatch(id, &http::header::HOST),
        PipelineError::unknown_session(),
        PipelineError::session_too_large(),
        PipelineError::randomness_unavailable(),
        PipelineError::request_timeout(),
        PipelineError::no_memory(id),
        PipelineError::too_many(id, TooMany::Requests),
        PipelineError::too_many(id, TooMany::Streams),
        PipelineError::too_many(None, TooMany::AllStreams),
        PipelineError::events_overloaded(),
        PipelineError::missing_parameter(id, "", ""),
        PipelineError::unknown_tool(id, ""),
        PipelineError::unknown_tool(None, ""),
        PipelineError::tasks_not_available(&legacy, ""),
        PipelineError::tasks_not_available(&modern, ""),
        PipelineError::unknown_notification(&legacy),
        PipelineError::too_many_subscriptions(&modern, 1),
        PipelineError::unknown_prompt(id, ""),
        PipelineError::unknown_resource(&legacy, ""),
        PipelineError::unknown_resource(&modern, ""),
        PipelineError::unknown_method(&legacy),
        PipelineError::unknown_method(&modern),
    ]
}

fn of_origins(id: Option<&RawValue>) -> Vec<PipelineError> {
    let error = std::io::Error::other("");
    let forbidden = EgressError::Forbidden { host: String::new() };
    let no_cause = || Arc::new(std::io::Error::other(""));
    vec![
        PipelineError::credential_error(
            id,
            "",
            &CredentialError::NotConnected(ConnectionStatus::NeverConnected),
        ),
        PipelineError::credential_error(id, "", &CredentialError::Refused(no_cause())),
        PipelineError::credential_error(id, "", &CredentialError::Rejected),
        PipelineError::credential_error(id, "", &CredentialError::Unavailable(no_cause())),
        PipelineError::credential_unavailable(id, ""),
        PipelineError::credential_rejected(id, ""),
        PipelineError::upstream_forbidden(id, ""),
        PipelineError::scope_denied(id, "", &[]),
        PipelineError::scope_denied(None, "", &[]),
        PipelineError::user_action_required(id, "reason", ""),
        PipelineError::connect_required(id, "reason", ""),
        PipelineError::upstream_failed(id, &SendError::Connect(forbidden.into())),
        PipelineError::upstream_failed(id, &SendError::Connect(EgressError::Url("").into())),
        PipelineError::upstream_failed(id, &SendError::InvalidUrl(OriginUrlError::NoHost)),
        PipelineError::upstream_timeout(id, 1),
        PipelineError::upstream_redirects(id, ""),
        PipelineError::session_not_opened(None, StatusCode::NOT_FOUND),
        PipelineError::response_interrupted(id, &error),
        PipelineError::response_too_large(id, 1),
        PipelineError::response_unreadable(id, ""),
    ]
}

#[tokio::test]
async fn errors_keep_their_codes_reasons_and_headers() {
    let id = RawValue::from_string("1".to_owned()).unwrap();
    let mut golden = Vec::new();
    for refusal in of_requests(Some(&id)).into_iter().chain(of_origins(Some(&id))) {
        golden.push(seen(refusal).await);
    }
    assert_golden("mcp/errors.json", &pretty(&json!(golden)));
}
