//! Tests the demo origin over HTTP as a gateway uses it: from the first 401 to a tool result.

#![allow(clippy::unwrap_used, reason = "a failing test reports the error")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{CONTENT_SECURITY_POLICY, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const VERIFIER: &str = "some-verifier-of-at-least-forty-three-characters";
const REDIRECT: &str = "http://127.0.0.1:9/connect/demo/callback";

struct Demo {
    http: Client,
    url: String,
    base: String,
}

async fn demo() -> Demo {
    let origin = portcullis_demo_origin::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = origin.url();
    tokio::spawn(origin.serve());
    let http = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
    let base = url.strip_suffix("/mcp").unwrap().to_owned();
    Demo { http, url, base }
}

impl Demo {
    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    async fn register(&self) -> String {
        let metadata = json!({"client_name": "Portcullis <b>", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
        let answer = self.http.post(format!("{}/register", self.base)).json(&metadata).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json::<Value>().await.unwrap()["client_id"].as_str().unwrap().to_owned()
    }

    async fn authorize(&self, client: &str, changes: &[(&str, &str)]) -> Response {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "a+b/c="),
            ("resource", &self.url),
            ("scope", "read notes"),
        ];
        for (name, value) in changes {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name, value));
        }
        self.http.get(format!("{}/authorize", self.base)).query(&parameters).send().await.unwrap()
    }

    /// Presses a button of the page and returns the response.
    async fn press(&self, page: &str, answer: &str, account: &str) -> Response {
        let question = page.split("name=\"question\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let form = [("question", question), ("account", account), ("answer", answer)];
        self.http.post(format!("{}/authorize", self.base)).form(&form).send().await.unwrap()
    }

    async fn token(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let answer = self.http.post(format!("{}/token", self.base)).form(form).send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        (answer.status(), answer.json().await.unwrap())
    }

    /// Registers a client and obtains tokens for an account.
    async fn connect(&self, account: &str) -> (String, Value) {
        let client = self.register().await;
        let page = self.authorize(&client, &[]).await.text().await.unwrap();
        let query = leads_to(&self.press(&page, "allow", account).await);
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &client),
            ("code", &query["code"]),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT),
            ("resource", &self.url),
        ];
        let (status, tokens) = self.token(&form).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        (client, tokens)
    }

    fn post(&self, token: &Value, message: &Value) -> RequestBuilder {
        let request = self.http.post(&self.url).json(message).bearer_auth(token.as_str().unwrap());
        request.header("Accept", "application/json, text/event-stream")
    }

    /// Sends a request of 2026-07-28. Returns the messages of the response; the last one is the result.
    async fn modern(&self, token: &Value, method: &str, mut params: Value) -> Vec<Value> {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "progressToken": 7,
        });
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        params["_meta"] = meta;
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self.post(token, &message).header("MCP-Protocol-Version", "2026-07-28");
        request = request.header("Mcp-Method", method);
        if let Some(name) = name {
            request = request.header("Mcp-Name", name);
        }
        messages(request.send().await.unwrap()).await
    }

    async fn call(&self, token: &Value, tool: &str, arguments: Value) -> Value {
        let mut all = self.modern(token, "tools/call", json!({"name": tool, "arguments": arguments})).await;
        all.pop().unwrap()["result"].take()
    }
}

fn leads_to(answer: &Response) -> std::collections::HashMap<String, String> {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let url = url::Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
    assert!(url.as_str().starts_with(REDIRECT));
    url.query_pairs().into_owned().collect()
}

async fn messages(answer: Response) -> Vec<Value> {
    let text = answer.text().await.unwrap();
    if text.starts_with('{') {
        return vec![serde_json::from_str(&text).unwrap()];
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    data.filter(|data| !data.is_empty()).map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn given_no_token_when_called_then_the_challenge_leads_to_the_metadata() {
    let demo = demo().await;
    let refused = demo.http.post(&demo.url).json(&json!({})).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    let metadata = challenge.split("resource_metadata=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(!challenge.contains("error="));
    let resource = demo.get(metadata.strip_prefix(&demo.base).unwrap()).await;
    assert_eq!(resource["resource"], demo.url);
    assert_eq!(resource["authorization_servers"][0], demo.base);
    let server = demo.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(server["issuer"], demo.base);
    assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(server["authorization_response_iss_parameter_supported"], true);
    assert_eq!(server["registration_endpoint"], format!("{}/register", demo.base));
}

#[tokio::test]
async fn given_a_token_that_is_none_when_called_then_the_challenge_says_so() {
    let demo = demo().await;
    let refused = demo.http.post(&demo.url).bearer_auth("made-up").json(&json!({})).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(refused.headers()[WWW_AUTHENTICATE].to_str().unwrap().contains("error=\"invalid_token\""));
}

#[tokio::test]
async fn given_a_request_to_authorize_then_a_plain_page_asks_and_yes_leads_back_with_a_code() {
    let demo = demo().await;
    let client = demo.register().await;
    let asked = demo.authorize(&client, &[]).await;
    assert_eq!(asked.status(), StatusCode::OK);
    let policy = asked.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("form-action 'self' http://127.0.0.1:9"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"));
    assert!(
        asked.headers().get("set-cookie").is_none(),
        "no cookies: the gateway uses cookies on the same host"
    );
    let page = asked.text().await.unwrap();
    assert!(!page.contains("<b>"), "the client name is escaped");
    let query = leads_to(&demo.press(&page, "allow", "otter").await);
    assert_eq!((query["iss"].as_str(), query["state"].as_str()), (demo.base.as_str(), "a+b/c="));
    assert!(query.contains_key("code"));
    assert_eq!(
        demo.press(&page, "allow", "otter").await.status(),
        StatusCode::BAD_REQUEST,
        "a page can be answered only once"
    );
}

#[tokio::test]
async fn given_no_or_a_wrong_request_then_the_browser_goes_back_with_the_error() {
    let demo = demo().await;
    let client = demo.register().await;
    let page = demo.authorize(&client, &[]).await.text().await.unwrap();
    let query = leads_to(&demo.press(&page, "deny", "otter").await);
    assert_eq!((query["error"].as_str(), query["iss"].as_str()), ("access_denied", demo.base.as_str()));
    let wrong = [
        ("code_challenge_method", "plain", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("resource", "http://127.0.0.1/other", "invalid_target"),
    ];
    for (name, value, error) in wrong {
        let query = leads_to(&demo.authorize(&client, &[(name, value)]).await);
        assert_eq!((query["error"].as_str(), query["state"].as_str()), (error, "a+b/c="));
    }
    for unsafe_to_redirect in [("client_id", "demo-nobody"), ("redirect_uri", "http://127.0.0.1:9/elsewhere")]
    {
        assert_eq!(demo.authorize(&client, &[unsafe_to_redirect]).await.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn given_tokens_when_refreshed_then_both_are_new_and_the_old_refresh_token_is_dead() {
    let demo = demo().await;
    let (client, tokens) = demo.connect("otter").await;
    assert_eq!(tokens["expires_in"], 600);
    let refresh = |token: &Value| {
        let token = token.as_str().unwrap().to_owned();
        let (demo, client) = (&demo, &client);
        async move {
            demo.token(&[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", &token)])
                .await
        }
    };
    let (status, renewed) = refresh(&tokens["refresh_token"]).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(renewed["access_token"], tokens["access_token"]);
    assert!(text(&demo.call(&renewed["access_token"], "whoami", json!({})).await).contains("otter"));
    let (status, refused) = refresh(&tokens["refresh_token"]).await;
    assert_eq!((status, refused["error"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid_grant")));
    let (status, refused) =
        demo.token(&[("grant_type", "refresh_token"), ("client_id", "demo-nobody")]).await;
    assert_eq!((status, refused["error"].as_str()), (StatusCode::UNAUTHORIZED, Some("invalid_client")));
}

#[tokio::test]
async fn given_a_modern_client_then_notes_are_added_listed_read_and_deleted_for_one_account_alone() {
    let demo = demo().await;
    let (_, otter) = demo.connect("otter").await;
    let (_, heron) = demo.connect("heron").await;
    let (otter, heron) = (&otter["access_token"], &heron["access_token"]);
    assert_eq!(text(&demo.call(otter, "add_note", json!({"text": "buy fish"})).await), "Added note 2.");
    assert!(text(&demo.call(otter, "list_notes", json!({})).await).contains("2. buy fish"));
    assert!(!text(&demo.call(heron, "list_notes", json!({})).await).contains("fish"));
    let read = demo.modern(otter, "resources/read", json!({"uri": "notebook://notes/2"})).await;
    assert_eq!(read[0]["result"]["contents"][0]["text"], "buy fish");
    assert_eq!(read[0]["result"]["cacheScope"], "private");
    let missing = demo.modern(heron, "resources/read", json!({"uri": "notebook://notes/2"})).await;
    assert_eq!(missing[0]["error"]["code"], -32602);
    assert_eq!(text(&demo.call(otter, "delete_note", json!({"id": 2})).await), "Deleted note 2.");
    assert_eq!(demo.call(otter, "delete_note", json!({"id": 2})).await["isError"], true);
}

#[tokio::test]
async fn given_a_modern_client_then_lists_hold_tools_prompt_resource_and_template() {
    let demo = demo().await;
    let (_, tokens) = demo.connect("badger").await;
    let token = &tokens["access_token"];
    let listed = demo.modern(token, "tools/list", json!({})).await;
    let tools = listed[0]["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["add_note", "brew_tea", "delete_note", "list_notes", "whoami"]);
    assert_eq!(tools[2]["annotations"]["destructiveHint"], true);
    assert!(tools[4]["inputSchema"].get("required").is_none());
    let prompt = demo
        .modern(token, "prompts/get", json!({"name": "summarize_notes", "arguments": {"tone": "dry"}}))
        .await;
    assert!(prompt[0]["result"]["messages"][0]["content"]["text"].as_str().unwrap().contains("Tone: dry."));
    let listed = demo.modern(token, "resources/list", json!({})).await;
    assert_eq!(listed[0]["result"]["resources"][0]["uri"], "notebook://notes");
    let listed = demo.modern(token, "resources/templates/list", json!({})).await;
    assert_eq!(listed[0]["result"]["resourceTemplates"][0]["uriTemplate"], "notebook://notes/{id}");
}

#[tokio::test]
async fn given_the_slow_tool_then_it_reports_progress_before_it_answers() {
    let demo = demo().await;
    let (_, tokens) = demo.connect("otter").await;
    let call = json!({"name": "brew_tea", "arguments": {"cups": 2}});
    let all = demo.modern(&tokens["access_token"], "tools/call", call).await;
    let progress: Vec<_> = all.iter().filter(|each| each["method"] == "notifications/progress").collect();
    assert_eq!(progress.len(), 2, "{all:?}");
    assert_eq!(progress[1]["params"]["progress"].as_f64(), progress[1]["params"]["total"].as_f64());
    assert_eq!(text(&all.last().unwrap()["result"]), "2 cups of tea are ready.");
}

#[tokio::test]
async fn given_a_client_of_the_legacy_era_then_it_has_a_session_that_each_token_uses_as_its_own_account() {
    let demo = demo().await;
    let (_, otter) = demo.connect("otter").await;
    let (_, heron) = demo.connect("heron").await;
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let opened = demo.post(&otter["access_token"], &message).send().await.unwrap();
    let session = opened.headers()["mcp-session-id"].clone();
    assert_eq!(messages(opened).await.last().unwrap()["result"]["protocolVersion"], "2025-11-25");
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let noted = demo.post(&otter["access_token"], &initialized).header("Mcp-Session-Id", session.clone());
    assert_eq!(noted.send().await.unwrap().status(), StatusCode::ACCEPTED);
    for (tokens, name) in [(&otter, "otter"), (&heron, "heron")] {
        let message =
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "whoami"}});
        let request = demo.post(&tokens["access_token"], &message).header("Mcp-Session-Id", session.clone());
        let request = request.header("MCP-Protocol-Version", "2025-11-25");
        let answer = messages(request.send().await.unwrap()).await;
        assert!(text(&answer.last().unwrap()["result"]).contains(name));
    }
}

#[tokio::test]
async fn given_a_revoked_grant_then_its_tokens_are_dead() {
    let demo = demo().await;
    let (client, tokens) = demo.connect("otter").await;
    let form = [("token", tokens["refresh_token"].as_str().unwrap()), ("client_id", &client)];
    let revoked = demo.http.post(format!("{}/revoke", demo.base)).form(&form).send().await.unwrap();
    assert_eq!(revoked.status(), StatusCode::OK);
    let refused = demo.post(&tokens["access_token"], &json!({})).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn given_another_host_name_then_nothing_is_answered() {
    let demo = demo().await;
    for path in ["/authorize", "/mcp", "/.well-known/oauth-authorization-server"] {
        let request = demo.http.get(format!("{}{path}", demo.base)).header("Host", "rebound.example");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::MISDIRECTED_REQUEST);
    }
}

#[tokio::test]
async fn given_an_address_that_is_not_loopback_then_it_is_not_bound() {
    let refused = portcullis_demo_origin::bind(([0, 0, 0, 0], 0).into()).await.err().unwrap();
    assert!(refused.to_string().contains("127.0.0.1"));
}
