//! The audit event of each request: one per exit, with every field.

use super::*;
use crate::limits::PrincipalLimits;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Removes the durations of an event, which differ from run to run, and returns them in milliseconds.
fn take_durations(event: &mut Value) -> [Option<f64>; 3] {
    ["total_ms", "upstream_ms", "gateway_ms"]
        .map(|name| event.as_object_mut().unwrap().remove(name).map(|ms| ms.as_f64().unwrap()))
}

#[tokio::test]
async fn given_a_tool_call_then_every_field_of_its_event_is_recorded() {
    let change = |config: &mut Value| add_team(config, "finance", json!({}));
    let gateway = TestGateway::new(change, |request| {
        std::thread::sleep(Duration::from_millis(20));
        obliging(request)
    })
    .await;
    let session = gateway.session(&json!({})).await;
    let call = legacy("tools/call", json!({"name": "get"}));
    let size = http_body::Body::size_hint(call.body()).exact();
    gateway.context.clock.advance(Duration::from_secs(1));
    let call = with_header(with_header(call, "traceparent", TRACE), "mcp-session-id", &session);
    let reply = gateway.send(call).await;
    let mut event = gateway.event().await;
    let [total, upstream, own] = take_durations(&mut event).map(Option::unwrap);
    assert!((20.0..total).contains(&upstream) && total < 5_000.0, "{upstream} of {total}");
    assert!((upstream + own - total).abs() < 0.01, "{upstream} + {own} = {total}");
    assert!((total * 1e3).fract() < 0.001 || (total * 1e3).fract() > 0.999, "whole microseconds: {total}");
    let digest = event.as_object_mut().unwrap().remove("mcp.session.id").unwrap();
    assert_eq!(digest.as_str().unwrap().len(), 16);
    assert!(!session.to_str().unwrap().contains(digest.as_str().unwrap()));
    let expected = json!({
        "time": "2026-09-21T14:13:21.000Z", "event": "mcp.capability", "outcome": "success",
        "gateway": "gateway", "route": "r", "origin": "mcp/o", "subject": "company:ana",
        "teams": ["mcp/finance"], "client_id": "pc_client_x", "client_name": "Client",
        "mcp.method.name": "tools/call", "capability": "get", "capability_kind": "tool",
        "mcp.protocol.version": "2025-11-25", "auth_mode": "none", "status": 200, "request_bytes": size,
        "response_bytes": reply.body.len(), "trace_id": "0af7651916cd43dd8448eb211c80319c",
    });
    assert_eq!(event, expected);
    // The digest identifies the session.
    let ping = || with_header(legacy("ping", json!({})), "mcp-session-id", &session);
    gateway.send(ping()).await;
    assert_eq!(gateway.event().await["mcp.session.id"], digest);
}

#[tokio::test]
async fn given_a_request_then_its_method_decides_about_the_kind_of_event_and_capability() {
    let gateway = TestGateway::new(|_| {}, obliging).await;
    let none = Value::Null;
    for (method, params, kind, capability, capability_kind) in [
        ("tools/call", json!({"name": "a"}), "mcp.capability", json!("a"), json!("tool")),
        ("prompts/get", json!({"name": "a"}), "mcp.capability", json!("a"), json!("prompt")),
        ("resources/read", json!({"uri": "a://b"}), "mcp.capability", json!("a://b"), json!("resource")),
        ("tools/list", json!({}), "mcp.request", none.clone(), none.clone()),
        ("server/discover", json!({}), "mcp.request", none.clone(), none.clone()),
    ] {
        gateway.send(modern(method, params)).await;
        let event = gateway.event().await;
        let shown = ["event", "capability", "capability_kind"].map(|name| event[name].clone());
        assert_eq!(shown, [json!(kind), capability, capability_kind], "{method}");
        let shown = ["mcp.method.name", "mcp.protocol.version"].map(|name| event[name].clone());
        assert_eq!(shown, [json!(method), json!("2026-07-28")]);
        assert_eq!(event["mcp.session.id"], none, "{method}");
    }
    gateway.send(legacy("resources/subscribe", json!({"uri": "a://b"}))).await;
    let event = gateway.event().await;
    assert_eq!((&event["event"], &event["capability"]), (&json!("mcp.request"), &json!("a://b")));
    for (request, method) in [(get(), "GET"), (delete(), "DELETE")] {
        gateway.send(request).await;
        let event = gateway.event().await;
        assert_eq!((&event["mcp.method.name"], &event["event"]), (&json!(method), &json!("mcp.request")));
    }
}

fn delete() -> Request<Full<Bytes>> {
    let request = Request::delete("/mcp/r").body(Full::default()).unwrap();
    with_header(request, "mcp-protocol-version", "2025-11-25")
}

#[tokio::test]
async fn given_a_traceparent_then_only_a_valid_trace_id_is_recorded() {
    let gateway = TestGateway::new(|_| {}, obliging).await;
    let long = format!("00-{}-b7ad6b7169203331-01", "a".repeat(33));
    let letters = format!("00-{}-b7ad6b7169203331-01", "g".repeat(32));
    for (sent, recorded) in [
        (TRACE, json!("0af7651916cd43dd8448eb211c80319c")),
        ("00-abc-b7ad6b7169203331-01", Value::Null),
        (&long, Value::Null),
        (&letters, Value::Null),
        ("none", Value::Null),
    ] {
        gateway.send(with_header(legacy("ping", json!({})), "traceparent", sent)).await;
        assert_eq!(gateway.event().await["trace_id"], recorded, "{sent}");
    }
}

/// Outcome, origin of the failure, and reason.
fn verdict(event: &Value) -> [Value; 3] {
    ["outcome", "failure_origin", "reason"].map(|name| event[name].clone())
}

#[tokio::test]
async fn given_a_response_then_its_outcome_is_recorded_however_it_is_sent() {
    let answers = [
        (json!({"result": {}}), json!(["success", null, null])),
        (json!({"result": {"isError": true}}), json!(["tool_error", "upstream", "tool_error"])),
        (json!({"error": {"code": 1, "message": ""}}), json!(["tool_error", "upstream", "json_rpc_error"])),
    ];
    let deliveries: [fn(String) -> OriginAnswer; 3] = [
        |text| json_answer(text),
        |text| chunked("application/json", [text.into()]),
        |text| typed("text/event-stream", format!("data: {text}\n\n")),
    ];
    for (members, expected) in answers {
        let text = with(json!({"jsonrpc": "2.0", "id": 7}), members).to_string();
        for deliver in deliveries {
            let body = text.clone();
            let gateway = TestGateway::new(|_| {}, move |_| deliver(body.clone())).await;
            for request in [legacy("tools/call", json!({"name": "a"})), legacy("ping", json!({}))] {
                let reply = gateway.send(request).await;
                let mut event = gateway.event().await;
                assert_eq!(json!(verdict(&event)), expected, "{text}");
                assert_eq!(event["response_bytes"], reply.body.len(), "{text}");
                let [total, upstream, own] = take_durations(&mut event).map(Option::unwrap);
                assert!(upstream > 0.0 && own >= 0.0 && upstream <= total, "{text}");
            }
        }
    }
}

#[tokio::test]
async fn given_an_error_status_then_the_event_has_it_and_the_origin_failed() {
    for (status, reason, code) in [
        (404, json!(["upstream_error", "upstream", "upstream_status"]), 404),
        (500, json!(["upstream_error", "upstream", "upstream_status"]), 500),
        (302, json!(["upstream_error", "upstream", "upstream_redirects"]), 502),
        (403, json!(["upstream_error", "upstream", "forbidden_upstream"]), 502),
        (401, json!(["upstream_error", "upstream", "credential_rejected"]), 502),
    ] {
        let gateway = TestGateway::new(
            |_| {},
            move |_| Response::builder().status(status).body("no message".into()).unwrap(),
        )
        .await;
        let reply = gateway.send(legacy("tools/call", json!({"name": "a"}))).await;
        let event = gateway.event().await;
        assert_eq!((reply.status.as_u16(), &event["status"]), (code, &json!(code)), "{status}");
        assert_eq!(json!(verdict(&event)), reason, "{status}");
        assert_eq!(reply.body == "no message", code == status, "{status}");
    }
}

#[tokio::test]
async fn given_a_rejection_then_the_event_says_who_caused_it_and_has_the_message() {
    let change = |config: &mut Value| {
        select(config, "tools", json!({"exclude": ["secret"]}));
        config["origins"][0]["limits"]["responseBytes"] = json!(100);
    };
    let gateway = TestGateway::new(change, |_| json_answer(" ".repeat(101))).await;
    let denied = |reason: &str| json!(["denied", "client", reason]);
    let anonymous = with_header(legacy("ping", json!({})), "authorization", "Bearer x");
    let mismatch = with_header(legacy("ping", json!({})), "mcp-method", "tools/call");
    let session = with_header(legacy("ping", json!({})), "mcp-session-id", "unknown");
    let put = Request::put("/mcp/r").body(Full::default()).unwrap();
    for (request, kind, status, expected) in [
        (legacy("tools/call", json!({"name": "secret"})), "policy.denied", 200, denied("tool_not_allowed")),
        (anonymous, "auth.unauthenticated", 401, denied("unauthenticated")),
        (mismatch, "policy.denied", 400, denied("header_mismatch")),
        (session, "mcp.request", 404, json!(["client_error", "client", "unknown_session"])),
        (put, "mcp.request", 405, json!(["client_error", "client", "method_not_allowed"])),
        (post("{"), "mcp.request", 400, json!(["client_error", "client", "malformed_message"])),
        (
            legacy("tools/call", json!({"name": "a"})),
            "mcp.capability",
            502,
            json!(["upstream_error", "upstream", "answer_too_large"]),
        ),
    ] {
        let reply = gateway.send(request).await;
        let mut event = gateway.event().await;
        assert_eq!((reply.status.as_u16(), &event["status"]), (status, &json!(status)), "{expected}");
        assert_eq!((&event["event"], json!(verdict(&event))), (&json!(kind), expected.clone()));
        assert_eq!(event["message"], reply.json()["error"]["message"], "{expected}");
        assert_eq!(event["response_bytes"], reply.body.len(), "{expected}");
        let [total, upstream, own] = take_durations(&mut event);
        assert_eq!((upstream.is_some(), own.is_some()), (status == 502, status == 502), "{expected}");
        assert!(total.unwrap() > 0.0, "{expected}");
    }
}

#[tokio::test]
async fn given_a_suspended_or_forbidden_route_then_the_denial_has_user_and_route() {
    let suspend: fn(&mut Value) = |config| config["routes"][0]["suspended"] = json!(true);
    let exclude: fn(&mut Value) = |config| add_team(config, "others", json!({}));
    for (change, reason, teams) in [(suspend, "suspended", json!([])), (exclude, "no_access", Value::Null)] {
        let gateway = TestGateway::new(change, obliging).await;
        let reply = gateway.send(legacy("ping", json!({}))).await;
        assert_eq!((reply.status.as_u16(), reply.error().1.as_str()), (403, reason));
        let event = gateway.event().await;
        assert_eq!(json!(verdict(&event)), json!(["denied", "client", reason]));
        assert_eq!((&event["subject"], &event["route"]), (&json!("company:ana"), &json!("r")));
        assert_eq!(event["teams"], teams, "{reason}");
        assert_eq!(gateway.received().len(), 0);
    }
}

#[tokio::test]
async fn given_a_client_that_disconnects_then_it_is_an_error_only_before_its_response() {
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}});
    let response = json!({"jsonrpc": "2.0", "id": 7, "result": {}});
    let went_away = json!(["client_error", "client", "client_went_away"]);
    let success = json!(["success", null, null]);
    let call = || legacy("tools/call", json!({"name": "a"}));
    let listen = modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    for (sent, request, expected) in [
        (&progress, call(), went_away),
        (&response, call(), success.clone()),
        (&progress, get(), success.clone()),
        (&progress, listen, success),
    ] {
        let message = sent.clone();
        let gateway = TestGateway::new(|_| {}, move |_| open_stream(std::slice::from_ref(&message))).await;
        let mut answer = gateway.open(request).await;
        answer.body_mut().frame().await.unwrap().unwrap();
        drop(answer);
        let mut event = gateway.event().await;
        assert_eq!(json!(verdict(&event)), expected, "{sent}");
        assert_eq!(event["status"], 200);
        if expected[0] == "success" {
            assert_eq!(event["response_bytes"], format!("data: {sent}\n\n").len());
            assert!(take_durations(&mut event)[1].is_some(), "{sent}");
        }
    }
}

#[tokio::test]
async fn given_limits_of_a_principal_then_requests_and_streams_count_until_their_end() {
    let limits = PrincipalLimits { requests: 2, streams: 1, all_streams: 10 };
    let limits = LimitSettings { principals: limits, ..LimitSettings::default() };
    let gateway = TestGateway::with_limits(
        limits,
        |_| {},
        |request| match request.method_name() {
            "ping" => obliging(request),
            _ => open_stream(&[json!({"jsonrpc": "2.0", "method": "notifications/message"})]),
        },
    )
    .await;
    let call = || legacy("tools/call", json!({"name": "a"}));
    let calls = [gateway.open(call()).await, gateway.open(call()).await];
    let reply = gateway.send(legacy("ping", json!({}))).await;
    assert_eq!(reply.status, 429);
    assert_eq!(gateway.event().await["status"], 429);
    assert_eq!(gateway.context.limits.refused(), 1);
    drop(calls);
    gateway.events(2).await;
    let stream = gateway.open(get()).await;
    assert_eq!(stream.status(), 200);
    let listen = || modern("subscriptions/listen", json!({"notifications": {}}));
    for request in [get(), listen()] {
        assert_eq!(gateway.send(request).await.status, 429);
        assert_eq!(gateway.event().await["status"], 429);
    }
    // Calls are not streams.
    assert_eq!(gateway.send(legacy("ping", json!({}))).await.status, 200);
}
