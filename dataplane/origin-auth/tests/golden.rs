//! Requests to an origin and its authorization server while an account is connected, refreshed and
//! disconnected.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use parking_lot::Mutex;
use portcullis_golden::assert_golden;
use portcullis_origin_auth::ConnectCallback;
use serde_json::{Map, Value, json};
use support::{Harness, Settings, ana, parameter};

/// An origin with its authorization server, which records the requests.
#[derive(Clone)]
struct Recorder {
    base: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Recorder {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let recorder = Self { base, asked: Arc::default() };
        let router = Router::new().fallback(answer).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        recorder
    }

    async fn asked(&self, count: usize) -> Vec<Value> {
        for _ in 0..100 {
            if self.asked.lock().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.asked.lock().clone()
    }
}

async fn answer(State(recorder): State<Recorder>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = Map::new();
    for (name, value) in &head.headers {
        if name != header::HOST && name != header::CONTENT_LENGTH {
            headers.insert(name.to_string(), value.to_str().unwrap().into());
        }
    }
    let body = match headers.get("content-type").and_then(Value::as_str) {
        Some("application/x-www-form-urlencoded") => pairs(url::form_urlencoded::parse(&body)),
        Some("application/json") => serde_json::from_slice(&body).unwrap(),
        _ => Value::Null,
    };
    let (method, path) = (head.method.as_str(), head.uri.to_string());
    recorder.asked.lock().push(json!({"method": method, "path": path, "headers": headers, "body": body}));
    respond(&recorder.base, head.uri.path())
}

fn respond(base: &str, path: &str) -> Response {
    let endpoint = |name: &str| format!("{base}/{name}");
    let document = match path {
        "/mcp" => {
            let challenge = format!(
                r#"Bearer resource_metadata="{base}/.well-known/oauth-protected-resource", scope="read""#
            );
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
        }
        "/.well-known/oauth-protected-resource" => {
            json!({"resource": endpoint("mcp"), "authorization_servers": [base]})
        }
        "/.well-known/oauth-authorization-server" => json!({
            "issuer": base, "authorization_endpoint": endpoint("authorize"), "token_endpoint": endpoint("token"),
            "registration_endpoint": endpoint("register"), "revocation_endpoint": endpoint("revoke"),
            "code_challenge_methods_supported": ["S256"], "scopes_supported": ["offline_access"],
        }),
        "/register" => {
            json!({"client_id": "client-id"})
        }
        "/token" => json!({
            "access_token": "access-token", "token_type": "bearer", "expires_in": 3600, "refresh_token": "refresh-token",
        }),
        "/revoke" => json!({}),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    axum::Json(document).into_response()
}

fn pairs(pairs: url::form_urlencoded::Parse<'_>) -> Value {
    let random = ["state", "code_challenge", "code_verifier"];
    let shown = |name: &str, value: String| match random.contains(&name) && !value.starts_with("is-this-") {
        true => format!("<{} characters>", value.len()),
        false => value,
    };
    pairs.map(|(name, value)| (name.to_string(), Value::from(shown(&name, value.into_owned())))).collect()
}

#[tokio::test]
async fn requests_to_authorization_servers_are_stable() {
    let recorder = Recorder::start().await;
    let path: &str = format!("{}/mcp", recorder.base).leak();
    let world =
        Harness::with(Settings { path, public_url: "https://gateway.example", ..Settings::default() }).await;
    let consent = world.begin().await.unwrap();
    let callback = ConnectCallback {
        code: Some("code".to_owned()),
        state: parameter(&consent, "state"),
        iss: None,
        error: None,
        error_description: None,
    };
    world.finish(&callback).await.unwrap();
    world.advance(3600);
    world.token().await;
    let before = recorder.asked(0).await.len();
    world.broker.disconnector.disconnect(&ana(), &world.origin()).await.unwrap();
    let asked = recorder.asked(before + 2).await;
    let golden = json!({"browser": pairs(consent.query_pairs()), "requests": asked});
    let golden = serde_json::to_string_pretty(&golden)
        .unwrap()
        .replace(&recorder.base, "https://origin.example")
        .replace(concat!("portcullis/", env!("CARGO_PKG_VERSION")), "portcullis/<version>");
    assert_golden("origin-auth/requests.json", &golden);
}
