//! Golden test of the JSON-RPC errors that the gateway makes itself: status, code, reason, headers and event.

use http_body_util::BodyExt as _;
use portcullis_golden::assert_golden;
use portcullis_outbound::OutboundError;
use portcullis_vault::{ConnectionStatus, CredentialError};
use serde_json::Value;

use super::*;
use crate::golden::pretty;
use crate::upstream::SendError;

async fn seen(refusal: Refusal) -> Value {
    let Parts { event, outcome, failure, .. } = &*refusal.0;
    let event = json!({"event": event, "outcome": outcome, "failure_origin": failure});
    let (head, body) = refusal.respond(Record::none()).into_parts();
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

fn of_requests(id: Option<&RawValue>) -> Vec<Refusal> {
    let parse = |text: &'static str| Message::parse(text.as_bytes()).unwrap();
    let legacy = parse(r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x:y"}}"#);
    let modern = parse(
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x:y",
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    );
    let malformed = |text: &'static str| Refusal::malformed(&Message::parse(text.as_bytes()).unwrap_err());
    vec![
        Refusal::not_ready(),
        Refusal::no_such_route("x"),
        Refusal::unauthenticated(HeaderValue::from_static("Bearer")),
        Refusal::insufficient_scope(HeaderValue::from_static("Bearer")),
        Refusal::store_unavailable(),
        Refusal::no_access(""),
        Refusal::suspended(""),
        Refusal::method_not_allowed(),
        Refusal::not_json(),
        Refusal::request_too_large(1),
        Refusal::broken_request(),
        malformed("x"),
        malformed("[]"),
        malformed("{}"),
        Refusal::header_mismatch(id, &http::header::HOST),
        Refusal::unknown_session(),
        Refusal::session_too_large(),
        Refusal::no_randomness(),
        Refusal::missing_parameter(id, "", ""),
        Refusal::unknown_tool(id, ""),
        Refusal::unknown_tool(None, ""),
        Refusal::unknown_prompt(id, ""),
        Refusal::unknown_resource(&legacy, ""),
        Refusal::unknown_resource(&modern, ""),
        Refusal::unknown_method(&legacy),
        Refusal::unknown_method(&modern),
    ]
}

fn of_origins(id: Option<&RawValue>) -> Vec<Refusal> {
    let error = std::io::Error::other("");
    let forbidden = OutboundError::Forbidden { host: String::new() };
    vec![
        Refusal::no_credential(id, "", &CredentialError::NotConnected(ConnectionStatus::NeverConnected)),
        Refusal::no_credential(id, "", &CredentialError::Refused(String::new())),
        Refusal::no_credential(id, "", &CredentialError::Rejected),
        Refusal::no_credential(id, "", &CredentialError::Unavailable(String::new())),
        Refusal::credential_unavailable(id, ""),
        Refusal::credential_rejected(id, ""),
        Refusal::forbidden_upstream(id, ""),
        Refusal::scope_refused(id, "", &[]),
        Refusal::scope_refused(None, "", &[]),
        Refusal::not_yet(id, "reason", ""),
        Refusal::connect_needed(id, "reason", ""),
        Refusal::upstream_failed(id, &SendError::Connect(forbidden.into())),
        Refusal::upstream_failed(id, &SendError::Connect(OutboundError::Url("").into())),
        Refusal::upstream_failed(id, &SendError::Url(String::new())),
        Refusal::upstream_timeout(id, 1),
        Refusal::upstream_redirects(id, ""),
        Refusal::session_not_opened(StatusCode::NOT_FOUND),
        Refusal::answer_broken_off(id, &error),
        Refusal::answer_too_large(id, 1),
        Refusal::answer_unreadable(id, ""),
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
