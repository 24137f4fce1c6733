//! How responses of an origin are relayed: complete, in pieces, as streams of events, or not at all.

use super::*;
use crate::limits::MemoryLimits;

/// Limits the size of responses.
fn limited(bytes: usize) -> impl FnOnce(&mut Value) {
    move |config| config["origins"][0]["limits"]["responseBytes"] = json!(bytes)
}

/// A JSON-RPC result with this total size.
fn message(bytes: usize, is_error: bool) -> Vec<u8> {
    let fill =
        |text: &str| json!({"jsonrpc": "2.0", "id": 7, "result": {"isError": is_error, "content": text}});
    let empty = fill("").to_string().len();
    fill(&"x".repeat(bytes - empty)).to_string().into_bytes()
}

fn with_length(bytes: &[u8]) -> OriginAnswer {
    json_answer(bytes.to_vec())
}

fn pieces(bytes: &[u8], size: usize) -> Vec<Bytes> {
    bytes.chunks(size).map(Bytes::copy_from_slice).collect()
}

/// Sends bytes in chunks, without a length.
fn in_chunks(bytes: &[u8]) -> OriginAnswer {
    chunked("application/json", pieces(bytes, 10_000))
}

fn call() -> Request<Full<Bytes>> {
    legacy("tools/call", json!({"name": "get"}))
}

fn ping() -> Request<Full<Bytes>> {
    legacy("ping", json!({}))
}

fn list() -> Request<Full<Bytes>> {
    legacy("tools/list", json!({}))
}

fn verdict(event: &Value) -> Value {
    json!(["outcome", "failure_origin", "reason"].map(|name| event[name].clone()))
}

#[tokio::test]
async fn given_a_response_then_up_to_the_limit_it_is_relayed_and_beyond_it_is_an_error() {
    let too_large = json!(["upstream_error", "upstream", "answer_too_large"]);
    let success = json!(["success", null, null]);
    type Case = (fn() -> Request<Full<Bytes>>, fn(&[u8]) -> OriginAnswer, usize);
    let cases: [Case; 10] = [
        (call, with_length, 1_000),
        (ping, with_length, 1_000),
        (list, with_length, 1_000),
        (call, with_length, 40_000),
        (ping, with_length, 40_000),
        (ping, with_length, 100_000),
        (list, with_length, 40_000),
        (call, in_chunks, 40_000),
        (ping, in_chunks, 100_000),
        (list, in_chunks, 40_000),
    ];
    for (request, deliver, size) in cases {
        let expected = message(size, false);
        let gateway = TestGateway::new(limited(size), move |_| deliver(&message(size, false))).await;
        assert_eq!(gateway.send(request()).await.body, expected, "{size}");
        let event = gateway.event().await;
        assert_eq!((verdict(&event), &event["response_bytes"]), (success.clone(), &json!(size)));
        gateway.reconfigure(limited(size - 1));
        // Without a length the response has begun, so it breaks off.
        if let Ok(reply) = gateway.try_send(request()).await {
            assert_eq!((reply.status.as_u16(), reply.error().1.as_str()), (502, "answer_too_large"));
            assert_eq!(reply.json()["id"], 7);
        }
        assert_eq!(verdict(&gateway.event().await), too_large, "{size}");
    }
}

#[tokio::test]
async fn given_a_response_with_a_length_then_the_client_gets_this_length() {
    for size in [1_000, 32 * 1024, 32 * 1024 + 1, 200_000] {
        let bytes = message(size, false);
        let gateway = TestGateway::new(|_| {}, move |_| json_answer(bytes.clone())).await;
        let reply = gateway.send(legacy("ping", json!({}))).await;
        assert_eq!(reply.headers["content-length"], size.to_string().as_str());
        assert_eq!(reply.headers[CONTENT_TYPE], "application/json", "{size}");
    }
    // A response that is held back until it was checked may change.
    let bytes = message(40_000, false);
    let gateway = TestGateway::new(|_| {}, move |_| json_answer(bytes.clone())).await;
    let reply = gateway.send(call()).await;
    assert_eq!((reply.headers.get("content-length"), reply.body.len()), (None, 40_000));
}

#[tokio::test]
async fn given_a_response_in_chunks_then_only_one_that_may_change_is_buffered() {
    let curated: fn(&mut Value) = |config| select(config, "tools", json!({"exclude": ["secret"]}));
    for (change, buffered) in [(curated, true), (|_: &mut Value| {}, false)] {
        let gateway = TestGateway::new(change, |_| in_chunks(&message(100_000, false))).await;
        let reply = gateway.send(legacy("tools/list", json!({}))).await;
        assert_eq!(reply.headers.get("content-length").is_some(), buffered);
        assert_eq!(reply.body.len(), 100_000);
    }
}

#[tokio::test]
async fn given_a_large_response_then_its_outcome_is_read_up_to_64_kib() {
    let (failed, success) = (json!(["tool_error", "upstream", "tool_error"]), json!(["success", null, null]));
    type Case = (fn() -> Request<Full<Bytes>>, fn(&[u8]) -> OriginAnswer);
    let cases: [Case; 2] = [(call, in_chunks), (ping, in_chunks)];
    for (size, expected) in [(64 * 1024, &failed), (64 * 1024 + 1, &success)] {
        for (request, deliver) in cases {
            let gateway = TestGateway::new(|_| {}, move |_| deliver(&message(size, true))).await;
            assert_eq!(gateway.send(request()).await.body, message(size, true), "{size}");
            assert_eq!(&verdict(&gateway.event().await), expected, "{size}");
        }
    }
}

#[tokio::test]
async fn given_a_task_nobody_started_then_it_is_found_up_to_64_kib() {
    let task = |bytes: usize| {
        let fill =
            |text: &str| json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "task", "x": text}});
        fill(&"x".repeat(bytes - fill("").to_string().len())).to_string().into_bytes()
    };
    for (size, found) in [(40_000, true), (64 * 1024, true), (64 * 1024 + 1, false)] {
        for deliver in [with_length, in_chunks] {
            let gateway = TestGateway::new(|_| {}, move |_| deliver(&task(size))).await;
            let reply = gateway.send(call()).await;
            assert_eq!(reply.error().1 == "unsolicited_task", found, "{size}");
            assert_eq!(reply.body == task(size), !found, "{size}");
        }
    }
}

#[tokio::test]
async fn given_an_error_status_then_its_body_is_relayed_without_being_held_back() {
    for deliver in [with_length, in_chunks] {
        let task = br#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"task"}}"#;
        let gateway = TestGateway::new(
            |_| {},
            move |_| {
                let mut answer = deliver(task);
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                answer
            },
        )
        .await;
        let reply = gateway.send(call()).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (500, task.as_slice()));
    }
}

#[tokio::test]
async fn given_a_response_that_breaks_off_then_the_client_cannot_take_it_for_complete() {
    for (media, sent) in [
        ("application/json", r#"{"jsonrpc":"2.0","id":7,"#),
        ("text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\n"),
    ] {
        for request in [call, ping] {
            let gateway = TestGateway::new(|_| {}, move |_| broken_off(media, sent)).await;
            gateway.try_send(request()).await.unwrap_err();
            let event = gateway.event().await;
            assert_eq!(
                verdict(&event),
                json!(["upstream_error", "upstream", "upstream_broke_off"]),
                "{media}"
            );
            assert!(event["upstream_ms"].as_f64().unwrap() > 19.0, "{media}");
        }
    }
    // A complete response is expected before it is curated, so the client gets an error instead.
    let curated = |config: &mut Value| select(config, "tools", json!({"exclude": ["secret"]}));
    let gateway = TestGateway::new(curated, |_| broken_off("application/json", "{")).await;
    let reply = gateway.send(list()).await;
    assert_eq!((reply.status.as_u16(), reply.error().1.as_str()), (502, "upstream_broke_off"));
    assert_eq!(gateway.event().await["reason"], "upstream_broke_off");
}

#[tokio::test]
async fn given_a_content_coding_then_a_response_is_rejected_unless_it_is_identity() {
    for (coding, readable) in [("gzip", false), ("identity", true)] {
        let gateway = TestGateway::new(
            |_| {},
            move |request| {
                let mut answer = obliging(request);
                answer.headers_mut().insert("content-encoding", HeaderValue::from_static(coding));
                answer
            },
        )
        .await;
        let reply = gateway.send(call()).await;
        assert_eq!(reply.status == 200, readable, "{coding}");
        assert_eq!(reply.error().1 == "answer_unreadable", !readable, "{coding}");
    }
}

#[tokio::test]
async fn given_a_stream_then_its_events_are_relayed_unchanged_and_its_rest_is_dropped() {
    let text = ": comment\n\nid: 1\nevent: message\ndata: {\"jsonrpc\": \"2.0\",\ndata:  \"method\":\"a\"}\
                \n\n                retry: 5\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n";
    let sent = format!("{text}data: {{\"jsonrpc\"");
    let gateway =
        TestGateway::new(|_| {}, move |_| chunked("text/event-stream", pieces(sent.as_bytes(), 7))).await;
    let reply = gateway.send(call()).await;
    assert_eq!(std::str::from_utf8(&reply.body).unwrap(), text);
    assert_eq!(reply.headers["x-accel-buffering"], "no");
    assert_eq!(reply.headers["cache-control"], "no-cache");
    let event = gateway.event().await;
    assert_eq!((&event["outcome"], &event["response_bytes"]), (&json!("success"), &json!(text.len())));
}

#[tokio::test]
async fn given_a_stream_with_an_invalid_or_large_event_then_it_breaks_off() {
    let upstream = |reason: &str| json!(["upstream_error", "upstream", reason]);
    let memory = |total| LimitSettings { memory: MemoryLimits { total }, ..LimitSettings::default() };
    let first = "data: {\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\n";
    let large =
        |bytes: usize| format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}\n\n", "x".repeat(bytes));
    for (second, total, expected) in [
        ("data: no message\n\n".to_owned(), 1 << 20, upstream("answer_unreadable")),
        (large(60_000), 1 << 20, upstream("answer_too_large")),
        (large(45_000), 80_000, json!(["gateway_error", "gateway", "overloaded"])),
        (large(45_000), 1 << 20, json!(["success", null, null])),
        (large(20_000), 2_000, json!(["success", null, null])),
    ] {
        let sent = format!("{first}{second}");
        let gateway = TestGateway::with_limits(memory(total), limited(50_000), move |_| {
            chunked("text/event-stream", pieces(sent.as_bytes(), 5_000))
        })
        .await;
        let body = gateway.try_send(get()).await;
        assert_eq!(body.is_ok(), expected[0] == "success", "{expected}");
        assert_eq!(verdict(&gateway.event().await), expected);
    }
}

#[tokio::test]
async fn given_a_held_response_then_it_counts_as_memory_in_use() {
    let limits = LimitSettings { memory: MemoryLimits { total: 60_000 }, ..LimitSettings::default() };
    for (request, expected) in [
        (call(), json!(["gateway_error", "gateway", "overloaded"])),
        (legacy("ping", json!({})), json!(["success", null, null])),
    ] {
        let gateway = TestGateway::with_limits(limits, |_| {}, |_| in_chunks(&message(50_000, false))).await;
        let body = gateway.try_send(request).await;
        assert_eq!(body.is_ok(), expected[0] == "success", "{expected}");
        assert_eq!(verdict(&gateway.event().await), expected);
        assert_eq!(gateway.context.limits.memory.bytes(), 0);
    }
}

/// Opens a stream whose first event has arrived, and stops the time.
async fn opened(gateway: &TestGateway, request: Request<Full<Bytes>>) -> Incoming {
    let mut body = gateway.open(request).await.into_body();
    body.frame().await.unwrap().unwrap();
    tokio::time::pause();
    body
}

async fn silent() -> TestGateway {
    let first = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {}});
    TestGateway::new(|_| {}, move |_| open_stream(std::slice::from_ref(&first))).await
}

fn listen() -> Request<Full<Bytes>> {
    modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))
}

#[tokio::test]
async fn given_a_silent_stream_then_the_client_gets_a_keep_alive_every_20_seconds() {
    let gateway = silent().await;
    let mut body = opened(&gateway, call()).await;
    let started = tokio::time::Instant::now();
    for seconds in [20.0, 40.0] {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, ": keep-alive\n\n");
        let passed = started.elapsed().as_secs_f64();
        assert!((seconds - 1.0..seconds + 0.1).contains(&passed), "{passed}");
    }
}

#[tokio::test]
async fn given_a_stream_when_the_route_is_suspended_or_closed_to_its_user_then_it_ends() {
    let suspend: fn(&mut Value) = |config| config["routes"][0]["suspended"] = json!(true);
    let exclude: fn(&mut Value) = |config| add_team(config, "others", json!({}));
    for change in [suspend, exclude] {
        for request in [call(), get()] {
            let gateway = silent().await;
            let mut body = opened(&gateway, request).await;
            gateway.reconfigure(change);
            let started = tokio::time::Instant::now();
            assert!(body.frame().await.is_none());
            assert!(started.elapsed() < Duration::from_secs(2));
            let event = gateway.event().await;
            assert_eq!(verdict(&event), json!(["denied", "client", "access_ended"]));
            assert!(event["response_bytes"].as_u64().unwrap() > 0);
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn given_a_shutdown_then_open_ended_streams_end_and_calls_continue() {
    let complete = json!({
        "jsonrpc": "2.0", "id": 7,
        "result": {"resultType": "complete", "_meta": {"io.modelcontextprotocol/subscriptionId": 7}},
    });
    for (request, farewell) in [(get(), None), (listen(), Some(complete))] {
        let gateway = silent().await;
        let mut body = opened(&gateway, request).await;
        gateway.context.shutdown.start_drain();
        if let Some(farewell) = farewell {
            let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let data = last.strip_prefix(b"event: message\ndata: ").unwrap();
            assert_eq!(serde_json::from_slice::<Value>(data).unwrap(), farewell);
        }
        assert!(body.frame().await.is_none());
        assert_eq!(gateway.event().await["outcome"], "success");
        tokio::time::resume();
    }
    let gateway = silent().await;
    let mut body = opened(&gateway, call()).await;
    gateway.context.shutdown.start_drain();
    assert!(body.frame().await.unwrap().unwrap().into_data().unwrap().starts_with(b": keep-alive"));
}
