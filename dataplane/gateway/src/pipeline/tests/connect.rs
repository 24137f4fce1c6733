//! Responses to users without a connected account.

use super::*;

/// A client that supports URL elicitation.
fn elicits() -> Value {
    json!({"elicitation": {"url": {}}})
}

/// Checks a sentence for the user, and that it ends with a connect link.
fn assert_leads_to_link(sentence: &Value, start: &str) {
    let sentence = sentence.as_str().unwrap();
    assert!(sentence.starts_with(start), "{sentence}");
    let ticket = sentence.split_once("https://gateway.example/connect/origin-id?ticket=").unwrap().1;
    assert!(ticket.len() > 20 && !ticket.contains(' '), "{sentence}");
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// Users connect accounts, and the origin's tools are known, so `connect_account` is the gateway's.
fn curated(config: &mut Value) {
    personal(config);
    select(config, "tools", json!({"include": ["get", "write"]}));
}

const NOT_CONNECTED: &str = "Your O account is not connected yet.";

#[tokio::test]
async fn given_no_account_then_lists_have_the_connect_tool_and_nothing_else() {
    let gateway = TestGateway::new(personal, obliging).await;
    for (method, key, shown) in [
        ("tools/list", "tools", vec!["connect_account"]),
        ("prompts/list", "prompts", vec![]),
        ("resources/list", "resources", vec![]),
        ("resources/templates/list", "resourceTemplates", vec![]),
    ] {
        let reply = gateway.send(legacy(method, json!({}))).await.json();
        assert_eq!(names(&reply["result"][key]), shown, "{method}");
        assert_eq!(reply["result"].as_object().unwrap().len(), 1, "{method}");
        let reply = gateway.send(modern(method, json!({}))).await.json();
        assert_eq!(names(&reply["result"][key]), shown, "{method}");
        let members = ["resultType", "ttlMs", "cacheScope"].map(|name| reply["result"][name].clone());
        assert_eq!(members, [json!("complete"), json!(0), json!("private")], "{method}");
        assert_eq!(gateway.received().len(), 0, "{method}");
    }
    let tools = gateway.send(legacy("tools/list", json!({}))).await.json();
    assert_eq!(tools["result"]["tools"][0]["title"], "Connect your O account");
}

#[tokio::test]
async fn given_no_account_then_the_gateway_opens_the_session_itself() {
    let gateway = TestGateway::new(personal, obliging).await;
    for (requested, version) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2025-11-25"),
    ] {
        let params = json!({"protocolVersion": requested, "capabilities": {}, "clientInfo": {}});
        let reply = gateway.send(legacy("initialize", params)).await;
        let changing = json!({"listChanged": true});
        let capabilities = json!({"prompts": changing, "resources": changing, "tools": changing});
        let server = json!({"name": "R", "version": env!("CARGO_PKG_VERSION")});
        let expected =
            json!({"protocolVersion": version, "capabilities": capabilities, "serverInfo": server});
        assert_eq!(reply.json()["result"], expected, "{requested}");
        let event = gateway.event().await;
        assert_eq!((&event["outcome"], &event["status"]), (&json!("success"), &json!(200)));
        assert_eq!(event["auth_mode"], "user_oauth");
        let session = reply.headers["mcp-session-id"].clone();
        let ping = with_header(legacy("ping", json!({})), "mcp-session-id", session);
        assert_eq!(gateway.send(ping).await.json()["result"], json!({}));
        assert!(gateway.event().await["mcp.session.id"].is_string());
    }
    assert_eq!(gateway.received().len(), 0);
}

#[tokio::test]
async fn given_no_account_then_discover_ping_notifications_and_the_end_of_sessions_are_answered() {
    let gateway = TestGateway::new(personal, obliging).await;
    let discovered = gateway.send(modern("server/discover", json!({}))).await.json();
    let changing = json!({"listChanged": true});
    let server = json!({"name": "R", "version": env!("CARGO_PKG_VERSION")});
    let expected = json!({
        "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private", "resultType": "complete",
        "capabilities": {"prompts": changing, "resources": changing, "tools": changing},
        "_meta": {"io.modelcontextprotocol/serverInfo": server},
    });
    assert_eq!(discovered["result"], expected);
    assert_eq!(
        gateway.send(modern("ping", json!({}))).await.json()["result"],
        json!({"resultType": "complete"})
    );
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    for message in [initialized, response] {
        let reply = gateway.send(post(message.to_string())).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (202, 0), "{message}");
    }
    let end = Request::delete("/mcp/r").body(Full::default()).unwrap();
    let reply = gateway.send(end).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
    assert_eq!(gateway.received().len(), 0);
}

#[tokio::test]
async fn given_no_account_then_a_call_returns_the_link_as_text() {
    let gateway = TestGateway::new(curated, obliging).await;
    for (name, is_error, outcome) in [("get", true, "denied"), ("connect_account", false, "success")] {
        for era in [Era::Legacy, Era::Modern] {
            let reply = gateway.send(era.request("tools/call", json!({"name": name}))).await.json();
            assert_eq!(reply["result"]["isError"], is_error, "{name}");
            assert_eq!(reply["result"]["content"][0]["type"], "text", "{name}");
            assert_leads_to_link(&reply["result"]["content"][0]["text"], NOT_CONNECTED);
            assert_eq!(reply["result"].get("resultType").is_some(), era == Era::Modern, "{name}");
            let event = gateway.event().await;
            assert_eq!((&event["outcome"], &event["capability"]), (&json!(outcome), &json!(name)));
            assert_eq!(
                (&event["reason"], &event["auth_mode"]),
                (&json!("connect_needed"), &json!("user_oauth"))
            );
        }
    }
    for (method, params) in [
        ("resources/read", json!({"uri": "a://b"})),
        ("prompts/get", json!({"name": "a"})),
        ("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "a"}})),
    ] {
        let reply = gateway.send(legacy(method, params)).await;
        assert_eq!(reply.error(), (-32000, "connect_needed".to_owned()), "{method}");
        assert_leads_to_link(&reply.json()["error"]["message"], NOT_CONNECTED);
        assert_eq!(gateway.event().await["event"], "policy.denied", "{method}");
    }
    assert_eq!(gateway.received().len(), 0);
}

#[tokio::test]
async fn given_a_legacy_client_that_elicits_urls_then_calls_ask_it_to_open_the_link() {
    let gateway = TestGateway::new(curated, obliging).await;
    let session = gateway.session(&elicits()).await;
    let send = |method: &str, params: Value| {
        gateway.send(with_header(legacy(method, params), "mcp-session-id", session.clone()))
    };
    let mut ids = Vec::new();
    for (method, params) in [
        ("tools/call", json!({"name": "get"})),
        ("resources/read", json!({"uri": "a://b"})),
        ("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "a"}})),
    ] {
        let reply = send(method, params).await;
        assert_eq!(reply.error(), (-32042, "connect_needed".to_owned()), "{method}");
        let error = &reply.json()["error"];
        assert_eq!(error["message"], "Connect an account first");
        let elicitation = &error["data"]["elicitations"][0];
        assert_eq!(elicitation["mode"], "url");
        assert_leads_to_link(&elicitation["message"], NOT_CONNECTED);
        assert!(elicitation["message"].as_str().unwrap().ends_with(elicitation["url"].as_str().unwrap()));
        ids.push(elicitation["elicitationId"].as_str().unwrap().to_owned());
        let event = gateway.event().await;
        assert_eq!((&event["outcome"], &event["reason"]), (&json!("denied"), &json!("connect_needed")));
    }
    assert!(ids.iter().all(|id| id.len() > 20) && ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    let reply = send("tools/call", json!({"name": "connect_account"})).await.json();
    assert_leads_to_link(&reply["result"]["content"][0]["text"], NOT_CONNECTED);
    gateway.event().await;
    // The session declares the support, not `_meta` or another session.
    let session = gateway.session(&json!({"elicitation": {"form": {}}})).await;
    let call = with_header(legacy("tools/call", json!({"name": "get"})), "mcp-session-id", session);
    assert_eq!(gateway.send(call).await.json()["result"]["isError"], true);
}

#[tokio::test]
async fn given_a_modern_client_that_elicits_urls_then_invocations_request_this_input() {
    let gateway = TestGateway::new(curated, obliging).await;
    let meta = client_capabilities(&elicits());
    for (method, params) in
        [("tools/call", json!({"name": "get"})), ("resources/read", json!({"uri": "a://b"}))]
    {
        let reply = gateway.send(modern(method, with(params, json!({"_meta": meta})))).await.json();
        assert_eq!(reply["result"]["resultType"], "input_required", "{method}");
        let input = &reply["result"]["inputRequests"]["connect_account"];
        assert_eq!(
            (&input["method"], &input["params"]["mode"]),
            (&json!("elicitation/create"), &json!("url"))
        );
        assert_leads_to_link(&input["params"]["message"], NOT_CONNECTED);
        assert!(input["params"]["url"].as_str().unwrap().starts_with("https://gateway.example/connect/"));
        let event = gateway.event().await;
        assert_eq!((&event["outcome"], &event["reason"]), (&json!("denied"), &json!("connect_needed")));
    }
    let complete = json!({"ref": {"type": "ref/prompt", "name": "a"}, "_meta": meta});
    let reply = gateway.send(modern("completion/complete", complete)).await;
    assert_eq!(reply.error(), (-32000, "connect_needed".to_owned()));
    // The client has already asked the user, or the model calls the tool for the link.
    let retry = json!({"name": "get", "inputResponses": {"connect_account": {}}, "_meta": meta});
    for (params, is_error) in [(retry, true), (json!({"name": "connect_account", "_meta": meta}), false)] {
        let reply = gateway.send(modern("tools/call", params)).await.json();
        assert_eq!(reply["result"]["isError"], is_error);
        assert_leads_to_link(&reply["result"]["content"][0]["text"], NOT_CONNECTED);
    }
}

#[tokio::test]
async fn given_a_shared_account_that_is_not_connected_then_only_an_administrator_can_help() {
    let shared = |config: &mut Value| {
        config["origins"][0]["auth"] = json!({"sharedOAuth": {"scopes": [], "registration": "auto"}});
    };
    let gateway = TestGateway::new(shared, obliging).await;
    let reply = gateway.send(legacy("tools/list", json!({}))).await.json();
    assert_eq!(reply["result"]["tools"], json!([]));
    gateway.event().await;
    let start = "O uses one shared account, and that account is not connected.";
    for era in [Era::Legacy, Era::Modern] {
        let reply = gateway.send(era.request("tools/call", json!({"name": "get"}))).await.json();
        assert_eq!(reply["result"]["isError"], true);
        assert!(reply["result"]["content"][0]["text"].as_str().unwrap().starts_with(start), "{reply}");
        let event = gateway.event().await;
        let verdict = ["outcome", "failure_origin", "reason", "auth_mode"].map(|name| event[name].clone());
        assert_eq!(json!(verdict), json!(["gateway_error", "gateway", "admin_needed", "shared_oauth"]));
    }
    let reply = gateway.send(legacy("prompts/get", json!({"name": "a"}))).await;
    assert_eq!(reply.error(), (-32000, "admin_needed".to_owned()));
    assert!(reply.json()["error"]["message"].as_str().unwrap().starts_with(start));
    gateway.event().await;
    let reply = gateway.send(legacy("tools/call", json!({"name": "connect_account"}))).await.json();
    assert_eq!(reply["result"]["isError"], true);
}

/// An origin with a list of each kind, which rejects its credential once `rejects` is set.
fn rejecting(
    rejects: &Arc<std::sync::atomic::AtomicBool>,
) -> impl Fn(&OriginRequest) -> OriginAnswer + use<> {
    let rejects = Arc::clone(rejects);
    move |request| {
        if rejects.load(std::sync::atomic::Ordering::Relaxed) {
            return Response::builder().status(401).body(OriginBody::empty()).unwrap();
        }
        let capabilities = json!({"tools": {"x": 1}, "logging": {}});
        let server = json!({"name": "origin", "version": "1"});
        let shown = json!({
            "tools": [{"name": "get"}, {"name": "create"}, {"name": "secret"}],
            "prompts": [{"name": "summary"}, {"name": "secret"}],
            "resourceTemplates": [
                {"uriTemplate": "notes://{id}", "name": "note"},
                {"uriTemplate": "secrets://{id}", "name": "secret"},
            ],
            "protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": server,
            "supportedVersions": ["2026-07-28"], "instructions": "Be kind", "_meta": {"own": 1},
        });
        result(request, &shown)
    }
}

#[tokio::test]
async fn given_a_rejected_account_then_what_all_users_see_is_shown_and_the_user_must_reconnect() {
    let change = |config: &mut Value| {
        personal(config);
        config["origins"][0]["catalogSharing"] = json!("shared");
        let renamed = json!([{"name": "create", "as": "new_issue", "annotations": {}}]);
        select(config, "tools", json!({"exclude": ["secret"], "overrides": renamed}));
        select(config, "prompts", json!({"exclude": ["secret"]}));
        select(config, "resourceTemplates", json!({"exclude": ["secrets://{id}"]}));
    };
    let rejects = Arc::default();
    let gateway = TestGateway::new(change, rejecting(&rejects)).await;
    gateway.connect_account("access").await;
    let initialize = || {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {}});
        legacy("initialize", params)
    };
    let discover = || modern("server/discover", json!({}));
    let lists = || {
        [
            ("tools", legacy("tools/list", json!({}))),
            ("prompts", legacy("prompts/list", json!({}))),
            ("resourceTemplates", legacy("resources/templates/list", json!({}))),
        ]
    };
    for request in lists().into_iter().map(|(_, request)| request).chain([initialize(), discover()]) {
        assert_eq!(gateway.send(request).await.json()["result"]["instructions"], "Be kind");
        gateway.event().await;
    }
    rejects.store(true, std::sync::atomic::Ordering::Relaxed);
    let call = gateway.send(legacy("tools/call", json!({"name": "get"}))).await.json();
    assert_eq!(call["result"]["isError"], true, "{call}");
    let start = "Your O account must be connected again, because O no longer accepts";
    assert_leads_to_link(&call["result"]["content"][0]["text"], start);
    let expected = json!({
        "tools": ["get", "new_issue", "connect_account"],
        "prompts": ["summary"],
        "resourceTemplates": ["note"],
    });
    for (kind, request) in lists() {
        let shown = gateway.send(request).await.json();
        assert_eq!(json!(names(&shown["result"][kind])), expected[kind], "{kind}");
    }
    let capabilities = json!({"tools": {"x": 1, "listChanged": true}, "logging": {}});
    let shown = gateway.send(initialize()).await.json()["result"].clone();
    assert_eq!((&shown["capabilities"], &shown["protocolVersion"]), (&capabilities, &json!("2025-06-18")));
    assert_eq!(shown["serverInfo"]["name"], "origin");
    let shown = gateway.send(discover()).await.json()["result"].clone();
    assert_eq!(shown["capabilities"], capabilities);
}

#[tokio::test]
async fn given_an_account_with_too_few_scopes_then_the_connect_tool_has_the_link_to_grant_them() {
    let gateway = TestGateway::new(curated, |request| {
        if request.body["params"]["name"] != "write" {
            return obliging(request);
        }
        let challenge = r#"Bearer error="insufficient_scope", scope="issues:write""#;
        let answer = Response::builder().status(403).header("www-authenticate", challenge);
        answer.body(OriginBody::empty()).unwrap()
    })
    .await;
    gateway.connect_account("access").await;
    let call = |name: &str| modern("tools/call", json!({"name": name}));
    let text = |reply: &Value| reply["result"]["content"][0]["text"].clone();
    let reply = gateway.send(call("connect_account")).await.json();
    assert_eq!(text(&reply), "Your O account is already connected. List the tools again.");
    assert_eq!(reply["result"]["isError"], false);
    assert_eq!(gateway.event().await["outcome"], "success");
    assert_eq!(gateway.received().len(), 0);
    let start = "O requires more scopes than your connected account has (issues:write).";
    for (name, is_error, outcome) in [("write", true, "denied"), ("connect_account", false, "success")] {
        let reply = gateway.send(call(name)).await.json();
        assert_leads_to_link(&text(&reply), start);
        assert_eq!(reply["result"]["isError"], is_error, "{name}");
        let event = gateway.event().await;
        assert_eq!((&event["outcome"], &event["reason"]), (&json!(outcome), &json!("step_up_needed")));
    }
    assert_eq!(gateway.received_one().body["params"]["name"], "write");
}
