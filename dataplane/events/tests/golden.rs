//! Golden test of every event kind and every value of its fields in the output.

#![allow(clippy::unwrap_used, reason = "a test")]

use portcullis_clock::UnixMillis;
use portcullis_events::{AuthMode, CapabilityKind, Event, EventKind, EventSink, FailureOrigin, Outcome};
use portcullis_golden::assert_golden;
use serde_json::json;

const KINDS: [EventKind; 19] = [
    EventKind::McpRequest,
    EventKind::McpCapability,
    EventKind::PolicyDenied,
    EventKind::Unauthenticated,
    EventKind::ClientRegistered,
    EventKind::SignIn,
    EventKind::Renewed,
    EventKind::LoggedOut,
    EventKind::Consent,
    EventKind::Token,
    EventKind::Revoked,
    EventKind::Connected,
    EventKind::Disconnected,
    EventKind::UpstreamRefresh,
    EventKind::UpstreamRequest,
    EventKind::AdminConnected,
    EventKind::AdminRevoked,
    EventKind::Snapshot,
    EventKind::Keys,
];

/// Names every field: a new one does not compile until it is added here.
fn full(event: EventKind) -> Event {
    Event {
        time: UnixMillis(1_790_000_000_123),
        event,
        outcome: Outcome::Success,
        count: Some(2),
        gateway: Some("gateway".into()),
        route: Some("route".into()),
        origin: Some("namespace/origin".into()),
        subject: Some("company:ana".into()),
        target: Some("company:eve".into()),
        teams: Some(["a".into(), "b".into()].into()),
        client_address: Some([192, 0, 2, 1].into()),
        client_id: Some("client-id".into()),
        client_name: Some("client-name".into()),
        method: Some("tools/call".into()),
        capability: Some("read".into()),
        capability_kind: Some(CapabilityKind::Tool),
        protocol_version: Some("2025-11-25".into()),
        session: Some("session-digest".into()),
        auth_mode: Some(AuthMode::UserOauth),
        failure_origin: Some(FailureOrigin::Upstream),
        reason: Some("reason"),
        message: Some("message".into()),
        status: Some(200),
        total_ms: Some(3.5),
        upstream_ms: Some(2.25),
        gateway_ms: Some(1.25),
        request_bytes: Some(100),
        response_bytes: Some(200),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
    }
}

#[test]
fn every_event_is_written_as_one_line_of_json() {
    let (sink, writer) = EventSink::new();
    KINDS.into_iter().for_each(|kind| sink.record(full(kind)));
    sink.record(Event::new(UnixMillis(0), EventKind::McpRequest, Outcome::Denied));
    drop(sink);
    let mut lines = Vec::new();
    writer.run(&mut lines).unwrap();
    assert_golden("events/all.jsonl", std::str::from_utf8(&lines).unwrap());
}

#[test]
fn every_value_of_a_field_has_its_name() {
    use CapabilityKind::{Prompt, Resource, ResourceTemplate, Tool};
    use Outcome::{ClientError, Denied, GatewayError, Success, ToolError, UpstreamError};
    let auth_modes = [
        AuthMode::None,
        AuthMode::Header,
        AuthMode::QueryParameter,
        AuthMode::UserOauth,
        AuthMode::SharedOauth,
        AuthMode::ClientCredentials,
        AuthMode::TokenExchange,
        AuthMode::IdJag,
    ];
    let values = json!({
        "outcome": [Success, ToolError, ClientError, GatewayError, UpstreamError, Denied],
        "failure_origin": [FailureOrigin::Client, FailureOrigin::Gateway, FailureOrigin::Upstream],
        "capability_kind": [Tool, Prompt, Resource, ResourceTemplate],
        "auth_mode": auth_modes,
    });
    assert_golden("events/values.json", &serde_json::to_string_pretty(&values).unwrap());
}
