//! Streams of users without a connected account. They end when the account is connected.

use super::*;

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

async fn next(body: &mut Incoming) -> Option<String> {
    let frame = body.frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(frame.to_vec()).unwrap())
}

/// The messages of events up to the end of the stream.
async fn rest(mut body: Incoming) -> Vec<Value> {
    let mut text = String::new();
    while let Some(event) = next(&mut body).await {
        text += &event;
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn changed(kind: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": format!("notifications/{kind}/list_changed")})
}

fn listen() -> Request<Full<Bytes>> {
    let wanted = json!({"toolsListChanged": true, "resourcesListChanged": true, "promptsListChanged": false});
    modern("subscriptions/listen", json!({"notifications": wanted}))
}

fn acknowledgment() -> Value {
    let accepted = json!({"toolsListChanged": true, "resourcesListChanged": true});
    let params = json!({"notifications": accepted, "_meta": {SUBSCRIPTION: 7}});
    json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params})
}

fn complete() -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "complete", "_meta": {SUBSCRIPTION: 7}}})
}

fn message(event: &str) -> Value {
    serde_json::from_str(event.strip_prefix("event: message\ndata: ").unwrap()).unwrap()
}

#[tokio::test]
async fn given_streams_then_they_end_with_list_changes_when_this_users_account_is_connected() {
    let gateway = TestGateway::new(personal, obliging).await;
    let response = gateway.open(get()).await;
    let headers =
        ["content-type", "cache-control", "x-accel-buffering"].map(|name| &response.headers()[name]);
    assert_eq!(headers, ["text/event-stream", "no-cache", "no"]);
    let mut legacy = response.into_body();
    assert_eq!(next(&mut legacy).await.unwrap(), ": waiting\n\n");
    let mut modern = gateway.open(listen()).await.into_body();
    let first = next(&mut modern).await.unwrap();
    assert_eq!(message(&first), acknowledgment());
    // Another user, and another origin.
    gateway.store_account("other-person", "origin-uid", "access").await;
    gateway.store_account(ana().id.as_str(), "other-uid", "access").await;
    let changes = tokio::spawn(Arc::clone(&gateway.context.broker.connection_changes).watch());
    let waiting = tokio::time::timeout(Duration::from_millis(300), next(&mut legacy));
    assert!(waiting.await.is_err());
    gateway.connect_account("access").await;
    let expected = [changed("tools"), changed("prompts"), changed("resources")];
    assert_eq!(rest(legacy).await, expected);
    let subscribed = |kind: &str| with(changed(kind), json!({"params": {"_meta": {SUBSCRIPTION: 7}}}));
    let expected = [subscribed("tools"), subscribed("resources"), complete()];
    assert_eq!(rest(modern).await, expected);
    changes.abort();
    for event in gateway.events(2).await {
        assert_eq!((&event["outcome"], &event["auth_mode"]), (&json!("success"), &json!("user_oauth")));
        assert!(event["response_bytes"].as_u64().unwrap() > 100, "{event}");
    }
    assert_eq!(gateway.received().len(), 0);
}

#[tokio::test]
async fn given_a_silent_stream_then_it_is_kept_alive_until_the_shutdown_or_the_end_of_access() {
    for drains in [true, false] {
        for (request, farewell) in [(get(), vec![]), (listen(), vec![complete()])] {
            let gateway = TestGateway::new(personal, obliging).await;
            let mut body = gateway.open(request).await.into_body();
            let first = next(&mut body).await.unwrap();
            tokio::time::pause();
            let kept = next(&mut body).await.unwrap();
            assert_eq!(kept, ": waiting\n\n");
            if drains {
                gateway.context.shutdown.start_drain();
                assert_eq!(rest(body).await, farewell);
            } else {
                gateway.reconfigure(|config| config["routes"][0]["suspended"] = json!(true));
                assert_eq!(rest(body).await, Vec::<Value>::new());
            }
            let event = gateway.event().await;
            assert_eq!(event["outcome"], "success");
            assert!(event["response_bytes"].as_u64().unwrap() as usize >= first.len() + kept.len());
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn given_a_client_that_leaves_its_stream_then_this_is_no_error() {
    let gateway = TestGateway::new(personal, obliging).await;
    let mut body = gateway.open(get()).await.into_body();
    next(&mut body).await.unwrap();
    drop(body);
    let event = gateway.event().await;
    assert_eq!((&event["outcome"], &event["mcp.method.name"]), (&json!("success"), &json!("GET")));
}
