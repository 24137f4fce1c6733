//! Legacy sessions, sessions from before an account is connected, and which requests are read at all.

use super::*;

fn in_session(request: Request<Full<Bytes>>, session: &HeaderValue) -> Request<Full<Bytes>> {
    with_header(request, "mcp-session-id", session)
}

fn call() -> Request<Full<Bytes>> {
    legacy("tools/call", json!({"name": "get"}))
}

fn delete() -> Request<Full<Bytes>> {
    Request::delete("/mcp/r").body(Full::default()).unwrap()
}

fn error_of(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.error().1)
}

#[tokio::test]
async fn given_a_session_then_the_origin_gets_its_own_id_and_the_client_never_sees_it() {
    let gateway = TestGateway::new(|_| {}, obliging).await;
    let session = gateway.session(&json!({})).await;
    assert!(!session.to_str().unwrap().contains(ORIGIN_SESSION));
    for (request, method) in [(call(), "POST"), (get(), "GET"), (delete(), "DELETE")] {
        gateway.send(in_session(request, &session)).await;
        let received = gateway.received_one();
        assert_eq!(
            (received.method.as_str(), received.header("mcp-session-id")),
            (method, Some(ORIGIN_SESSION))
        );
    }
    gateway.send(call()).await;
    assert_eq!(gateway.received_one().header("mcp-session-id"), None);
}

#[tokio::test]
async fn given_a_session_id_that_the_gateway_did_not_issue_then_the_client_must_start_anew() {
    let gateway = TestGateway::new(|_| {}, obliging).await;
    let session = gateway.session(&json!({})).await;
    let mut twice = in_session(call(), &session);
    twice.headers_mut().append("mcp-session-id", session.clone());
    let long = HeaderValue::try_from("x".repeat(7000)).unwrap();
    let origins = HeaderValue::from_static(ORIGIN_SESSION);
    for request in [
        twice,
        in_session(call(), &long),
        in_session(call(), &origins),
        in_session(get(), &origins),
        in_session(delete(), &origins),
    ] {
        assert_eq!(error_of(&gateway.send(request).await), (404, "unknown_session".to_owned()));
        assert_eq!(gateway.received().len(), 0);
    }
    // These open no session, so the header is ignored and not forwarded.
    let initialize = legacy("initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}}));
    for request in [modern("tools/call", json!({"name": "get"})), initialize] {
        assert_eq!(gateway.send(in_session(request, &origins)).await.status, 200);
        assert_eq!(gateway.received_one().header("mcp-session-id"), None);
    }
}

#[tokio::test]
async fn given_a_session_id_of_the_origin_then_ids_up_to_6_kib_are_relayed_sealed() {
    for (length, fits) in [(4_000, true), (6_000, false)] {
        let gateway = TestGateway::new(
            |_| {},
            move |request| {
                let mut answer = obliging(request);
                answer
                    .headers_mut()
                    .insert("mcp-session-id", HeaderValue::try_from("x".repeat(length)).unwrap());
                answer
            },
        )
        .await;
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        let reply = gateway.send(legacy("initialize", params)).await;
        assert_eq!(reply.headers.contains_key("mcp-session-id"), fits, "{length}");
        if !fits {
            assert_eq!(error_of(&reply), (502, "session_too_large".to_owned()));
        }
        // Other responses open no session.
        assert!(!gateway.send(call()).await.headers.contains_key("mcp-session-id"));
    }
}

#[tokio::test]
async fn given_a_modern_version_then_only_posts_are_allowed() {
    let gateway = TestGateway::new(|_| {}, obliging).await;
    for version in ["2026-07-28", "2027-01-01"] {
        for request in [get(), delete()] {
            let reply = gateway.send(with_header(request, "mcp-protocol-version", version)).await;
            assert_eq!(error_of(&reply), (405, "method_not_allowed".to_owned()), "{version}");
            assert_eq!(reply.headers["allow"], "POST, GET, DELETE");
        }
    }
    assert_eq!(gateway.received().len(), 0);
    for request in [get(), delete(), with_header(get(), "mcp-protocol-version", "2025-06-18")] {
        assert_eq!(gateway.send(request).await.status, 200);
        assert_eq!(gateway.received_one().body, Value::Null);
    }
}

#[tokio::test]
async fn given_a_request_body_then_up_to_4_mib_of_json_are_read() {
    let gateway = TestGateway::new(|_| {}, obliging).await;
    let ping = |bytes: usize| {
        let text = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        format!("{text}{}", " ".repeat(bytes - text.len()))
    };
    let limit = 4 * 1024 * 1024;
    for (size, status) in [(100, 200), (limit, 200), (limit + 1, 413), (limit + 2, 413)] {
        let reply = gateway.send(post(ping(size))).await;
        assert_eq!(reply.status.as_u16(), status, "{size}");
        let event = gateway.event().await;
        assert_eq!(event["request_bytes"].as_u64(), (status == 200).then_some(size as u64), "{size}");
        if status == 413 {
            assert_eq!(
                (&event["event"], &event["reason"]),
                (&json!("policy.denied"), &json!("request_too_large"))
            );
        }
    }
    for (name, value) in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        let reply = gateway.send(with_header(post(ping(100)), name, value)).await;
        assert_eq!(error_of(&reply), (415, "not_json".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn given_a_session_from_before_an_account_then_it_is_opened_once_when_one_is_connected() {
    let gateway = TestGateway::new(personal, obliging).await;
    let params = json!({
        "protocolVersion": "2024-11-05", "capabilities": {"roots": {}, "tasks": {}},
        "clientInfo": {"name": "c"},
    });
    let reply = gateway.send(legacy("initialize", params)).await;
    let session = reply.headers["mcp-session-id"].clone();
    assert_eq!(gateway.received().len(), 0);
    gateway.connect_account("access").await;
    // It was never opened at the origin, so there is nothing to end.
    assert_eq!(gateway.send(in_session(delete(), &session)).await.status, 200);
    assert_eq!(gateway.received().len(), 0);
    gateway.send(in_session(call(), &session)).await;
    let received = gateway.received();
    let methods: Vec<_> = received.iter().map(OriginRequest::method_name).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call"]);
    let expected = json!({
        "protocolVersion": "2025-11-25", "capabilities": {"roots": {}, "tasks": {}},
        "clientInfo": {"name": "c"},
    });
    assert_eq!(received[0].body["params"], expected);
    assert_eq!(received[2].header("mcp-session-id"), Some(ORIGIN_SESSION));
    for (request, method) in [(call(), "tools/call"), (delete(), "DELETE")] {
        gateway.send(in_session(request, &session)).await;
        let received = gateway.received_one();
        assert_eq!(
            (received.method_name(), received.header("mcp-session-id")),
            (method, Some(ORIGIN_SESSION))
        );
    }
}

#[tokio::test]
async fn given_an_origin_that_opens_no_session_then_the_client_must_start_anew() {
    let gateway = TestGateway::new(personal, |request| match request.method_name() {
        "notifications/initialized" => Response::builder().status(500).body(OriginBody::empty()).unwrap(),
        _ => obliging(request),
    })
    .await;
    let session = gateway.session(&json!({})).await;
    gateway.connect_account("access").await;
    let reply = gateway.send(in_session(call(), &session)).await;
    assert_eq!(error_of(&reply), (502, "session_not_opened".to_owned()));
    assert!(gateway.received().iter().all(|request| request.method_name() != "tools/call"));
    assert_eq!(gateway.event().await["reason"], "session_not_opened");
}

#[tokio::test]
async fn given_two_clients_before_an_account_then_their_sessions_differ() {
    let gateway = TestGateway::new(personal, obliging).await;
    let first = gateway.session(&json!({})).await;
    let second = gateway.session(&json!({})).await;
    gateway.connect_account("access").await;
    for session in [&first, &second] {
        gateway.send(in_session(call(), session)).await;
        let methods: Vec<_> = gateway.received().iter().map(|it| it.method_name().to_owned()).collect();
        assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call"]);
    }
}
