//! What clients see of an origin's lists, capabilities, tasks, notifications and elicitations.

use super::*;

/// Hides and changes items of each kind.
fn curated(config: &mut Value) {
    let change = json!({
        "name": "create", "as": "new_issue", "title": "New issue", "description": "Creates an issue",
        "annotations": {"readOnlyHint": false},
    });
    select(config, "tools", json!({"exclude": ["secret"], "overrides": [change]}));
    let change = json!({"name": "old", "as": "fresh", "annotations": {}});
    select(config, "prompts", json!({"include": ["summary", "old"], "overrides": [change]}));
    let change = json!({"name": "files://readme", "title": "Read me", "annotations": {}});
    select(config, "resources", json!({"include": ["files://readme"], "overrides": [change]}));
    select(config, "resourceTemplates", json!({"include": ["notes://{id}"]}));
}

/// A list method, the member of its result, the origin's items, and what clients of [`curated`] see.
fn lists() -> [(&'static str, &'static str, Value, Value); 4] {
    [
        (
            "tools/list",
            "tools",
            json!([
                {"name": "get", "inputSchema": {}},
                {"name": "secret"},
                {"name": "create", "title": "a", "description": "b", "annotations": {"idempotentHint": true}},
            ]),
            json!([
                {"name": "get", "inputSchema": {}},
                {
                    "name": "new_issue", "title": "New issue", "description": "Creates an issue",
                    "annotations": {"idempotentHint": true, "readOnlyHint": false},
                },
            ]),
        ),
        (
            "prompts/list",
            "prompts",
            json!([{"name": "summary"}, {"name": "old", "title": "a"}, {"name": "get"}]),
            json!([{"name": "summary"}, {"name": "fresh", "title": "a"}]),
        ),
        (
            "resources/list",
            "resources",
            json!([{"uri": "files://readme", "name": "readme"}, {"uri": "files://secret", "name": "get"}]),
            json!([{"uri": "files://readme", "name": "readme", "title": "Read me"}]),
        ),
        (
            "resources/templates/list",
            "resourceTemplates",
            json!([{"uriTemplate": "notes://{id}", "name": "get"}, {"uriTemplate": "secrets://{id}"}]),
            json!([{"uriTemplate": "notes://{id}", "name": "get"}]),
        ),
    ]
}

/// Answers list requests with [`lists`].
fn listing(request: &OriginRequest) -> OriginAnswer {
    let found = lists().into_iter().find(|(method, ..)| *method == request.method_name());
    found.map_or_else(|| obliging(request), |(_, key, items, _)| result(request, &json!({key: items})))
}

#[tokio::test]
async fn given_a_curated_route_then_lists_show_what_is_offered_as_it_is_configured() {
    let plain = TestGateway::new(|_| {}, listing).await;
    let gateway = TestGateway::new(curated, listing).await;
    for (method, key, items, shown) in lists() {
        for era in [Era::Legacy, Era::Modern] {
            let request = || era.request(method, json!({}));
            assert_eq!(plain.send(request()).await.json()["result"], json!({key: items}), "{method}");
            assert_eq!(gateway.send(request()).await.json()["result"], json!({key: shown}), "{method}");
            assert_eq!(gateway.event().await["outcome"], "success", "{method}");
        }
    }
}

#[tokio::test]
async fn given_a_response_that_is_no_list_then_it_is_unchanged_on_a_curated_route() {
    let text =
        r#"{"jsonrpc":"2.0", "id":7, "result":{"tools":[{"name":"secret"}],"capabilities":{"tasks":{}}}}"#;
    let gateway = TestGateway::new(curated, move |_| json_answer(text)).await;
    for (method, params) in [("tools/call", json!({"name": "get"})), ("ping", json!({}))] {
        assert_eq!(gateway.send(legacy(method, params)).await.body, text, "{method}");
    }
}

#[tokio::test]
async fn given_a_list_that_is_ambiguous_then_it_is_rejected_only_where_it_must_be_curated() {
    let text = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"get","name":"secret"}]}}"#;
    for (change, readable) in [(curated as fn(&mut Value), false), (|_: &mut Value| {}, true)] {
        let gateway = TestGateway::new(change, move |_| json_answer(text)).await;
        let reply = gateway.send(legacy("tools/list", json!({}))).await;
        if readable {
            assert_eq!(reply.body, text);
        } else {
            assert_eq!(reply.status, 502);
            assert_eq!(reply.error(), (-32000, "answer_unreadable".to_owned()));
            assert_eq!(gateway.event().await["failure_origin"], "upstream");
        }
    }
}

#[tokio::test]
async fn given_an_error_status_then_only_a_body_that_can_be_curated_is_relayed() {
    let list = |items: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"tools":{items}}}}}"#);
    let gateway = TestGateway::new(curated, move |request| {
        let broken = request.body["params"]["cursor"] == "broken";
        let mut answer = json_answer(list(if broken { "[{}]" } else { r#"[{"name":"secret"}]"# }));
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer
    })
    .await;
    let reply = gateway.send(legacy("tools/list", json!({}))).await;
    assert_eq!((reply.status, &reply.json()["result"]["tools"]), (StatusCode::NOT_FOUND, &json!([])));
    assert_eq!(gateway.event().await["status"], 404);
    let reply = gateway.send(legacy("tools/list", json!({"cursor": "broken"}))).await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.error(), (-32000, "answer_unreadable".to_owned()));
    assert_eq!(gateway.event().await["reason"], "answer_unreadable");
}

#[tokio::test]
async fn given_tools_that_depend_on_teams_then_lists_are_filtered_and_private() {
    let some: fn(&mut Value) = |config| add_team(config, "finance", json!({"include": ["get"]}));
    let all: fn(&mut Value) = |config| {
        add_team(config, "finance", json!({}));
        add_team(config, "others", json!({"include": ["get"]}));
    };
    let same: fn(&mut Value) = |config| add_team(config, "finance", json!({}));
    for (change, names, scope) in [
        (some, json!([{"name": "get"}]), "private"),
        (all, json!([{"name": "get"}, {"name": "secret"}]), "private"),
        (same, json!([{"name": "get"}, {"name": "secret"}]), "public"),
    ] {
        let gateway = TestGateway::new(change, |request| {
            let items = json!([{"name": "get"}, {"name": "secret"}]);
            result(request, &json!({"tools": items, "prompts": items, "cacheScope": "public"}))
        })
        .await;
        let shown = gateway.send(modern("tools/list", json!({}))).await.json();
        assert_eq!((&shown["result"]["tools"], &shown["result"]["cacheScope"]), (&names, &json!(scope)));
        let shown = gateway.send(modern("prompts/list", json!({}))).await.json();
        assert_eq!(shown["result"]["prompts"], json!([{"name": "get"}, {"name": "secret"}]));
        assert_eq!(shown["result"]["cacheScope"], "public");
    }
}

#[tokio::test]
async fn given_an_origin_with_tasks_then_it_declares_them_only_where_users_have_accounts() {
    let declared = json!({"tasks": {}, "tools": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let reduced = json!({"tools": {}, "extensions": {}});
    for (change, expected) in [(personal as fn(&mut Value), &declared), (|_: &mut Value| {}, &reduced)] {
        let capabilities = declared.clone();
        let gateway = TestGateway::new(change, move |request| {
            result(request, &json!({"capabilities": capabilities, "protocolVersion": "2025-11-25"}))
        })
        .await;
        gateway.connect_account("access").await;
        let initialize = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}});
        for request in [legacy("initialize", initialize), modern("server/discover", json!({}))] {
            let reply = gateway.send(request).await;
            assert_eq!(reply.json()["result"]["capabilities"], *expected);
        }
    }
}

/// Ways to send a response: with its length, without, and as an event.
fn deliveries() -> [(&'static str, Delivery); 3] {
    [
        ("with its length", |text| json_answer(text)),
        ("in chunks", |text| chunked("application/json", [text.into()])),
        ("as an event", |text| typed("text/event-stream", format!("data: {text}\n\n"))),
    ]
}

#[tokio::test]
async fn given_a_task_nobody_started_then_clients_get_an_error_where_users_share_a_credential() {
    for task in [json!({"task": {"taskId": "1"}}), json!({"resultType": "task"})] {
        let text = json!({"jsonrpc": "2.0", "id": 7, "result": task}).to_string();
        for (delivery, deliver) in deliveries() {
            for (change, allowed) in [(personal as fn(&mut Value), true), (|_: &mut Value| {}, false)] {
                let body = text.clone();
                let gateway = TestGateway::new(change, move |_| deliver(body.clone())).await;
                gateway.connect_account("access").await;
                let reply = gateway.send(modern("tools/call", json!({"name": "get"}))).await;
                let event = gateway.event().await;
                if allowed {
                    assert_eq!(reply.messages()[0]["result"], task, "{delivery}");
                    assert_eq!(event["outcome"], "success", "{delivery}");
                } else {
                    let shown = &reply.messages()[0];
                    assert_eq!((&shown["id"], &shown["result"]), (&json!(7), &Value::Null), "{delivery}");
                    assert_eq!(shown["error"]["data"]["reason"], "unsolicited_task", "{delivery}");
                    assert!(shown["error"]["message"].as_str().unwrap().starts_with("O started"), "{shown}");
                    assert_eq!(event["reason"], "unsolicited_task", "{delivery}");
                    assert_eq!(event["outcome"], "upstream_error", "{delivery}");
                }
            }
        }
    }
}

fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

#[tokio::test]
async fn given_notifications_then_only_those_about_what_the_user_may_read_are_relayed() {
    let updated = |uri: &str| notification("notifications/resources/updated", json!({"uri": uri}));
    let sent = [
        (updated("files://readme"), true, true),
        (updated("notes://1"), true, true),
        (updated("files://secret"), false, false),
        (notification("notifications/resources/updated", json!({})), false, false),
        (notification("notifications/tasks/status", json!({"taskId": "1"})), true, false),
        (notification("notifications/tasks", json!({"taskId": "1"})), true, false),
        (notification("notifications/tools/list_changed", json!({})), true, true),
        (json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}), true, true),
    ];
    let all: Vec<_> = sent.iter().map(|(message, ..)| message.clone()).collect();
    for own_accounts in [true, false] {
        let change = |config: &mut Value| {
            curated(config);
            if own_accounts {
                personal(config);
            }
        };
        let messages = all.clone();
        let gateway = TestGateway::new(change, move |_| stream(&messages)).await;
        gateway.connect_account("access").await;
        let passes = |(message, own, shared): &(Value, bool, bool)| {
            (if own_accounts { *own } else { *shared }).then(|| message.clone())
        };
        let expected: Vec<_> = sent.iter().filter_map(passes).collect();
        for request in [get(), legacy("tools/call", json!({"name": "get"}))] {
            assert_eq!(gateway.send(request).await.messages(), expected, "{own_accounts}");
        }
    }
}

#[tokio::test]
async fn given_lists_on_a_stream_then_they_are_curated_whatever_request_they_answer() {
    let tools = json!([{"name": "get"}, {"name": "secret"}]);
    let prompts = json!([{"name": "summary"}, {"name": "secret"}]);
    let capabilities = json!({"tasks": {}, "tools": {}});
    let response = |id: u32, result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    let sent = [
        response(99, json!({"tools": tools, "prompts": prompts})),
        response(98, json!({"capabilities": capabilities})),
        response(97, json!({"content": []})),
    ];
    let gateway = TestGateway::new(curated, move |_| stream(&sent)).await;
    for request in [get(), legacy("tools/call", json!({"name": "get"})), legacy("tools/list", json!({}))] {
        let expected = [
            response(99, json!({"tools": [{"name": "get"}], "prompts": [{"name": "summary"}]})),
            response(98, json!({"capabilities": {"tools": {}}})),
            response(97, json!({"content": []})),
        ];
        assert_eq!(gateway.send(request).await.messages(), expected);
    }
}

#[tokio::test]
async fn given_a_stream_then_the_response_to_its_request_is_curated_by_its_method() {
    let answer =
        json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": [{"name": "get"}, {"name": "secret"}]}});
    let sent = [answer.clone()];
    let gateway = TestGateway::new(curated, move |_| stream(&sent)).await;
    let call = gateway.send(legacy("tools/call", json!({"name": "get"}))).await;
    assert_eq!(call.messages(), [answer]);
    let list = gateway.send(legacy("tools/list", json!({}))).await;
    assert_eq!(list.messages()[0]["result"], json!({"tools": [{"name": "get"}]}));
}

#[tokio::test]
async fn given_a_url_elicitation_then_it_names_the_origin_if_the_client_supports_it() {
    let params =
        json!({"mode": "url", "elicitationId": "1", "url": "https://o.example", "message": "Sign in"});
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": params});
    let error = json!({"code": -32042, "message": "URL", "data": {"elicitations": [params]}});
    let asked = json!({"inputRequests": {"a": {"method": "elicitation/create", "params": params}}});
    let of_error = json!({"jsonrpc": "2.0", "id": 7, "error": error});
    let of_result = json!({"jsonrpc": "2.0", "id": 7, "result": asked});
    let marked = json!("From O: Sign in");
    for (message, pointer) in [
        (&request, "/params/message"),
        (&of_error, "/error/data/elicitations/0/message"),
        (&of_result, "/result/inputRequests/a/params/message"),
    ] {
        let mut deliver = deliveries().to_vec();
        if message == &request {
            deliver.drain(..2);
        }
        for (delivery, deliver) in deliver {
            let text = message.to_string();
            let gateway = TestGateway::new(
                |_| {},
                move |request| match request.method_name() {
                    "initialize" => obliging(request),
                    _ => deliver(text.clone()),
                },
            )
            .await;
            for (capabilities, supported) in [(json!({"elicitation": {"url": {}}}), true), (json!({}), false)]
            {
                let expected = if supported { &marked } else { &json!("Sign in") };
                let session = gateway.session(&capabilities).await;
                let call =
                    with_header(legacy("tools/call", json!({"name": "get"})), "mcp-session-id", session);
                let shown = gateway.send(call).await.messages().remove(0);
                assert_eq!(shown.pointer(pointer), Some(expected), "legacy, {delivery}: {message}");
                let params = json!({"name": "get", "_meta": client_capabilities(&capabilities)});
                let shown = gateway.send(modern("tools/call", params)).await.messages().remove(0);
                assert_eq!(shown.pointer(pointer), Some(expected), "modern, {delivery}: {message}");
            }
        }
    }
}
