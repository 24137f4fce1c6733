//! Which requests reach the origin, under which name, and which are denied.

use super::*;

/// What happens to a request.
#[derive(Debug)]
enum Decision {
    /// The origin receives it. The value is at this pointer in its body.
    Forwarded(&'static str, &'static str),
    /// The client gets an error with this code and reason, and the origin receives nothing.
    Denied(i64, &'static str),
}

use Decision::{Denied, Forwarded};
use Era::{Legacy, Modern};

const NAME: &str = "/params/name";
const URI: &str = "/params/uri";

/// Offers some capabilities of each kind, and renames one tool and one prompt.
fn curated(config: &mut Value) {
    let renamed = |name: &str, exposed: &str| json!([{"name": name, "as": exposed, "annotations": {}}]);
    let tools = json!({"exclude": ["secret", "gone"], "overrides": renamed("create", "new_issue")});
    select(config, "tools", tools);
    let prompts = json!({"include": ["summary", "old"], "overrides": renamed("old", "fresh")});
    select(config, "prompts", prompts);
    select(config, "resources", json!({"include": ["files://readme"]}));
    select(config, "resourceTemplates", json!({"include": ["notes://{id}"]}));
}

async fn check(gateway: &TestGateway, era: Era, method: &str, params: Value, decision: &Decision) {
    let case = format!("{era:?} {method} {params}");
    let reply = gateway.send(era.request(method, params)).await;
    let event = gateway.event().await;
    match decision {
        Forwarded(pointer, value) => {
            assert_eq!(reply.json(), json!({"jsonrpc": "2.0", "id": 7, "result": {}}), "{case}");
            let received = gateway.received_one();
            assert_eq!(received.method_name(), method, "{case}");
            assert_eq!(received.body.pointer(pointer), Some(&json!(value)), "{case}");
            if *pointer == NAME || *pointer == URI {
                let name = (era == Modern).then_some(*value);
                assert_eq!(received.header("mcp-name"), name, "{case}");
            }
            assert_eq!(event["outcome"], "success", "{case}");
        }
        Denied(code, reason) => {
            assert_eq!(reply.error(), (*code, (*reason).to_owned()), "{case}");
            assert_eq!(reply.json()["id"], 7, "{case}");
            assert_eq!(gateway.received().len(), 0, "{case}");
            assert_eq!(event["reason"], *reason, "{case}");
        }
    }
}

#[tokio::test]
async fn given_a_curated_route_then_only_offered_tools_and_prompts_reach_the_origin() {
    let gateway = TestGateway::new(curated, obliging).await;
    for (method, name, decision) in [
        ("tools/call", "get", Forwarded(NAME, "get")),
        ("tools/call", "new_issue", Forwarded(NAME, "create")),
        ("tools/call", "create", Denied(-32602, "tool_not_allowed")),
        ("tools/call", "secret", Denied(-32602, "tool_not_allowed")),
        ("tools/call", "gone", Denied(-32602, "tool_not_allowed")),
        ("prompts/get", "summary", Forwarded(NAME, "summary")),
        ("prompts/get", "fresh", Forwarded(NAME, "old")),
        ("prompts/get", "old", Denied(-32602, "prompt_not_allowed")),
        ("prompts/get", "other", Denied(-32602, "prompt_not_allowed")),
    ] {
        for era in [Legacy, Modern] {
            check(&gateway, era, method, json!({"name": name}), &decision).await;
        }
    }
    for method in ["tools/call", "prompts/get"] {
        let denied = Denied(-32602, "missing_parameter");
        check(&gateway, Legacy, method, json!({"arguments": {}}), &denied).await;
    }
}

#[tokio::test]
async fn given_a_curated_route_then_only_readable_resources_reach_the_origin() {
    let gateway = TestGateway::new(curated, obliging).await;
    for (era, method, uri, decision) in [
        (Legacy, "resources/read", "files://readme", Forwarded(URI, "files://readme")),
        (Modern, "resources/read", "files://readme", Forwarded(URI, "files://readme")),
        (Legacy, "resources/read", "notes://1", Forwarded(URI, "notes://1")),
        (Legacy, "resources/read", "files://secret", Denied(-32002, "resource_not_allowed")),
        (Modern, "resources/read", "files://secret", Denied(-32602, "resource_not_allowed")),
        (Legacy, "resources/subscribe", "notes://1", Forwarded(URI, "notes://1")),
        (Legacy, "resources/subscribe", "files://secret", Denied(-32002, "resource_not_allowed")),
        (Legacy, "resources/unsubscribe", "files://secret", Denied(-32002, "resource_not_allowed")),
        (Modern, "resources/subscribe", "files://readme", Denied(-32601, "method_not_known")),
    ] {
        check(&gateway, era, method, json!({"uri": uri}), &decision).await;
    }
    for method in ["resources/read", "resources/subscribe"] {
        check(&gateway, Legacy, method, json!({}), &Denied(-32602, "missing_parameter")).await;
    }
}

#[tokio::test]
async fn given_a_completion_then_its_prompt_or_template_must_be_offered() {
    let gateway = TestGateway::new(curated, obliging).await;
    let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
    let resource = |uri: &str| json!({"type": "ref/resource", "uri": uri});
    for (reference, decision) in [
        (prompt("summary"), Forwarded("/params/ref/name", "summary")),
        (prompt("fresh"), Forwarded("/params/ref/name", "old")),
        (prompt("other"), Denied(-32602, "prompt_not_allowed")),
        (resource("notes://{id}"), Forwarded("/params/ref/uri", "notes://{id}")),
        (resource("files://readme"), Forwarded("/params/ref/uri", "files://readme")),
        (resource("secrets://{id}"), Denied(-32002, "resource_not_allowed")),
    ] {
        let params = json!({"ref": reference, "argument": {"name": "x", "value": ""}});
        check(&gateway, Legacy, "completion/complete", params, &decision).await;
    }
}

#[tokio::test]
async fn given_subscriptions_then_all_must_be_readable_and_at_most_a_thousand() {
    let gateway = TestGateway::new(curated, obliging).await;
    let many = |count: usize| (0..count).map(|id| format!("notes://{id}")).collect::<Vec<_>>();
    let listen = |uris: &[String]| json!({"notifications": {"resourceSubscriptions": uris}});
    let first = "/params/notifications/resourceSubscriptions/0";
    for (uris, decision) in [
        (many(1), Forwarded(first, "notes://0")),
        (many(1000), Forwarded(first, "notes://0")),
        (many(1001), Denied(-32602, "too_many_subscriptions")),
        (vec!["notes://0".to_owned(), "files://secret".to_owned()], Denied(-32602, "resource_not_allowed")),
    ] {
        check(&gateway, Modern, "subscriptions/listen", listen(&uris), &decision).await;
    }
}

#[tokio::test]
async fn given_globs_of_templates_then_the_origins_templates_decide_what_is_readable() {
    let change = |config: &mut Value| {
        select(config, "resources", json!({"include": ["files://readme"]}));
        select(config, "resourceTemplates", json!({"include": ["notes://*"]}));
    };
    let gateway = TestGateway::new(change, |request| match request.method_name() {
        "resources/templates/list" => {
            let templates = json!([{"uriTemplate": "notes://{id}"}, {"uriTemplate": "secrets://{id}"}]);
            result(request, &json!({"resourceTemplates": templates}))
        }
        _ => obliging(request),
    })
    .await;
    let read = |uri: &str| modern("resources/read", json!({"uri": uri}));
    let methods = || gateway.received().iter().map(|it| it.method_name().to_owned()).collect::<Vec<_>>();
    let denied = gateway.send(read("secrets://1")).await;
    assert_eq!(denied.error(), (-32602, "resource_not_allowed".to_owned()));
    assert_eq!(methods(), ["resources/templates/list"]);
    assert_eq!(gateway.event().await["reason"], "resource_not_allowed");
    assert_eq!(gateway.send(read("notes://1")).await.json()["result"], json!({}));
    assert_eq!(methods(), ["resources/read"]);
    assert_eq!(gateway.event().await["outcome"], "success");
}

#[tokio::test]
async fn given_an_unknown_request_then_it_is_denied_even_on_an_uncurated_route() {
    for change in [curated, |_: &mut Value| {}] {
        let gateway = TestGateway::new(change, obliging).await;
        for (era, status) in [(Legacy, 200), (Modern, 404)] {
            let reply = gateway.send(era.request("tools/run", json!({"name": "secret"}))).await;
            assert_eq!(reply.status, status, "{era:?}");
            assert_eq!(reply.error(), (-32601, "method_not_known".to_owned()), "{era:?}");
            assert_eq!(gateway.received().len(), 0, "{era:?}");
            assert_eq!(gateway.event().await["outcome"], "client_error", "{era:?}");
        }
    }
}

#[tokio::test]
async fn given_a_notification_or_response_then_it_passes_unless_it_could_name_what_is_hidden() {
    let limited = |config: &mut Value| add_team(config, "finance", json!({"exclude": ["secret"]}));
    let all_tools = |config: &mut Value| add_team(config, "finance", json!({}));
    let unknown = json!({"jsonrpc": "2.0", "method": "notifications/other", "params": {}});
    let known = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    let accepted = |_: &OriginRequest| Response::builder().status(202).body(OriginBody::empty()).unwrap();
    let changes: [(&str, Change, bool); 4] = [
        ("uncurated", |_| {}, true),
        ("curated", curated, false),
        ("a team with some tools", limited, false),
        ("a team with all tools", all_tools, true),
    ];
    for (name, change, passes) in changes {
        let gateway = TestGateway::new(change, accepted).await;
        for (message, passes) in [(&unknown, passes), (&known, true), (&response, true)] {
            let reply = gateway.send(post(message.to_string())).await;
            let received = gateway.received();
            let event = gateway.event().await;
            if passes {
                assert_eq!(reply.status, 202, "{name}: {message}");
                assert_eq!(received[0].body, *message, "{name}: {message}");
                assert_eq!((&event["status"], &event["outcome"]), (&json!(202), &json!("success")));
            } else {
                assert_eq!(reply.status, 403, "{name}: {message}");
                assert_eq!(reply.error(), (-32601, "notification_not_known".to_owned()), "{name}");
                assert_eq!(received.len(), 0, "{name}: {message}");
                assert_eq!(event["event"], "policy.denied", "{name}: {message}");
            }
        }
    }
}

#[tokio::test]
async fn given_a_team_with_some_tools_then_its_members_call_only_these() {
    let change = |config: &mut Value| {
        select(config, "tools", json!({"exclude": ["gone"]}));
        add_team(config, "finance", json!({"include": ["get", "gone"]}));
        add_team(config, "admins", json!({}));
    };
    let gateway = TestGateway::new(change, obliging).await;
    for (name, decision) in [
        ("get", Forwarded(NAME, "get")),
        ("gone", Denied(-32602, "tool_not_allowed")),
        ("other", Denied(-32602, "tool_not_allowed")),
    ] {
        check(&gateway, Modern, "tools/call", json!({"name": name}), &decision).await;
    }
    check(&gateway, Modern, "prompts/get", json!({"name": "any"}), &Forwarded(NAME, "any")).await;
}

#[tokio::test]
async fn given_the_name_of_the_connect_tool_then_it_is_special_only_where_users_connect_accounts() {
    let tool = || modern("tools/call", json!({"name": "connect_account"}));
    let hidden = |config: &mut Value| select(config, "tools", json!({"exclude": ["connect_account"]}));
    let gateway = TestGateway::new(hidden, obliging).await;
    assert_eq!(gateway.send(tool()).await.error(), (-32602, "tool_not_allowed".to_owned()));
    let own = |_: &mut Value| {};
    let gateway = TestGateway::new(own, obliging).await;
    assert_eq!(gateway.send(tool()).await.json()["result"], json!({}));
    assert_eq!(gateway.received_one().body["params"]["name"], "connect_account");
}

#[tokio::test]
async fn given_a_renamed_tool_then_a_name_header_is_replaced_and_none_is_added_to_legacy_requests() {
    let gateway = TestGateway::new(curated, obliging).await;
    let call = || legacy("tools/call", json!({"arguments": {"name": "new_issue"}, "name": "new_issue"}));
    gateway.send(call()).await;
    let received = gateway.received_one();
    assert_eq!(received.header("mcp-name"), None);
    assert_eq!(received.body["params"], json!({"arguments": {"name": "new_issue"}, "name": "create"}));
    gateway.send(with_header(call(), "mcp-name", "new_issue")).await;
    assert_eq!(gateway.received_one().header("mcp-name"), Some("create"));
    let mismatch = gateway.send(with_header(call(), "mcp-name", "create")).await;
    assert_eq!(mismatch.error(), (-32020, "header_mismatch".to_owned()));
    assert_eq!(gateway.received().len(), 0);
}

/// Requests that use tasks.
fn with_tasks() -> [(Era, &'static str, Value); 4] {
    [
        (Legacy, "tools/call", json!({"name": "get", "task": {"ttl": 1000}})),
        (Legacy, "tasks/get", json!({"taskId": "1"})),
        (Modern, "tasks/get", json!({"taskId": "1"})),
        (Modern, "subscriptions/listen", json!({"notifications": {"taskIds": ["1"]}})),
    ]
}

#[tokio::test]
async fn given_a_shared_credential_then_requests_with_tasks_are_denied() {
    let gateway = TestGateway::new(|_| {}, obliging).await;
    for (era, method, params) in with_tasks() {
        let reply = gateway.send(era.request(method, params)).await;
        assert_eq!(reply.status, if era == Modern { 404 } else { 200 }, "{era:?} {method}");
        assert_eq!(reply.error(), (-32601, "tasks_not_available".to_owned()), "{era:?} {method}");
        assert_eq!(gateway.received().len(), 0, "{era:?} {method}");
        assert_eq!(gateway.event().await["event"], "policy.denied", "{era:?} {method}");
    }
}

#[tokio::test]
async fn given_connected_accounts_then_requests_with_tasks_reach_the_origin() {
    let gateway = TestGateway::new(personal, obliging).await;
    gateway.connect_account("access").await;
    for (era, method, params) in with_tasks() {
        gateway.send(era.request(method, params)).await;
        let received = gateway.received_one();
        assert_eq!(received.method_name(), method, "{era:?}");
        assert_eq!(received.header("authorization"), Some("Bearer access"), "{era:?} {method}");
        assert_eq!(gateway.event().await["outcome"], "success", "{era:?} {method}");
    }
}

#[tokio::test]
async fn given_a_client_with_tasks_then_only_origins_that_know_its_user_learn_of_them() {
    let declared =
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}, "x": {}}, "tasks": {}, "roots": {}});
    let reduced = json!({"extensions": {"x": {}}, "roots": {}});
    for (change, expected) in [(personal as fn(&mut Value), &declared), (|_: &mut Value| {}, &reduced)] {
        let gateway = TestGateway::new(change, obliging).await;
        gateway.connect_account("access").await;
        let initialize = json!({"protocolVersion": "2025-11-25", "capabilities": declared, "clientInfo": {}});
        gateway.send(legacy("initialize", initialize)).await;
        assert_eq!(gateway.received_one().body["params"]["capabilities"], *expected);
        let params = json!({"name": "get", "_meta": client_capabilities(&declared)});
        gateway.send(modern("tools/call", params)).await;
        let received = gateway.received_one().body;
        assert_eq!(received["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"], *expected);
    }
}
