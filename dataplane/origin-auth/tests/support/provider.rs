//! An MCP server behind OAuth and its authorization server, in one process, with adjustable behavior.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, Uri};
use parking_lot::Mutex;
use portcullis_origin_auth::ConnectCallback;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::parameter;

pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// Well-known URLs of an issuer with a path (RFC 8414, section 5; OpenID Connect Discovery, section 4).
pub(crate) const SERVER_AT: [&str; 3] = [
    "/.well-known/oauth-authorization-server/tenant",
    "/.well-known/openid-configuration/tenant",
    "/tenant/.well-known/openid-configuration",
];

/// Behavior of the provider, and the requests that it received.
pub(crate) struct ProviderBehavior {
    /// Replaces fields of the resource's metadata; `null` removes a field, or the whole document.
    pub(crate) resource: Value,
    /// Replaces fields of the authorization server's metadata.
    pub(crate) server: Value,
    /// Status that is returned instead of the resource's metadata.
    pub(crate) undescribed: Option<StatusCode>,
    /// Path of the authorization server's metadata.
    pub(crate) server_at: &'static str,
    pub(crate) challenge: bool,
    /// Whether `initialize` is allowed without a token.
    pub(crate) greets: bool,
    /// Whether the resource's metadata is at the root instead of under its path.
    pub(crate) at_root: bool,
    /// Replaces fields of token responses.
    pub(crate) tokens: Value,
    /// Replaces whole token responses.
    pub(crate) answers: Option<(StatusCode, Value)>,
    /// Replaces fields of registration responses.
    pub(crate) registered: Value,
    /// Status with which these application types are refused registration.
    pub(crate) unwelcome: Option<(StatusCode, &'static [&'static str])>,
    pub(crate) lifetime: Option<u64>,
    pub(crate) gives_refresh: bool,
    pub(crate) rotates: bool,
    pub(crate) delay: Duration,
    pub(crate) down: bool,
    pub(crate) dead: bool,
    /// Error that the identity provider and the authorization server return to known users.
    pub(crate) refuses: Option<&'static str>,
    /// Token type that the identity provider states for issued tokens.
    pub(crate) issues: &'static str,
    /// The `scope` of token responses. By default the requested scopes are granted.
    pub(crate) grants: Option<&'static str>,
    pub(crate) clients: HashMap<String, Option<String>>,
    pub(crate) codes: HashMap<String, HashMap<String, String>>,
    pub(crate) refresh_tokens: Vec<String>,
    pub(crate) registrations: Vec<Value>,
    pub(crate) token_requests: Vec<HashMap<String, String>>,
    pub(crate) revoked: Vec<String>,
    pub(crate) issued: Vec<String>,
    /// Request line and headers of every request.
    pub(crate) heads: Vec<String>,
    count: usize,
}

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) base: Url,
    pub(crate) levers: Arc<Mutex<ProviderBehavior>>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let levers = Arc::new(Mutex::new(ProviderBehavior {
            resource: json!({}),
            server: json!({}),
            undescribed: None,
            server_at: SERVER_AT[0],
            challenge: true,
            greets: false,
            at_root: false,
            tokens: json!({}),
            answers: None,
            registered: json!({}),
            unwelcome: None,
            lifetime: Some(3600),
            gives_refresh: true,
            rotates: true,
            delay: Duration::ZERO,
            down: false,
            dead: false,
            refuses: None,
            issues: ID_JAG,
            grants: None,
            clients: HashMap::from([("by-hand".to_owned(), Some("a secret/of+ours".to_owned()))]),
            codes: HashMap::new(),
            refresh_tokens: Vec::new(),
            registrations: Vec::new(),
            token_requests: Vec::new(),
            revoked: Vec::new(),
            issued: Vec::new(),
            heads: Vec::new(),
            count: 0,
        }));
        let provider = Self { base, levers };
        let router = Router::new()
            .route("/mcp", post(origin))
            .route("/other", post(origin))
            .route("/.well-known/oauth-protected-resource/mcp", get(resource_metadata))
            .route("/.well-known/oauth-protected-resource", get(metadata_at_root))
            .route(SERVER_AT[0], get(tenant_metadata))
            .route(SERVER_AT[1], get(tenant_metadata))
            .route(SERVER_AT[2], get(tenant_metadata))
            .route("/.well-known/oauth-authorization-server", get(root_metadata))
            .route("/tenant/register", post(register))
            .route("/tenant/token", post(token))
            .route("/.well-known/oauth-authorization-server/idp", get(idp_metadata))
            .route("/idp/token", post(idp_token))
            .route("/tenant/revoke", post(revoke))
            .layer(from_fn_with_state(provider.clone(), record))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(crate) fn issuer(&self) -> String {
        format!("{}tenant", self.base)
    }

    /// The person's part of the flow: agrees, and is sent back.
    pub(crate) fn consent(&self, url: &Url) -> ConnectCallback {
        assert_eq!(url.path(), "/tenant/authorize");
        assert_eq!(parameter(url, "response_type").as_deref(), Some("code"));
        assert_eq!(parameter(url, "code_challenge_method").as_deref(), Some("S256"));
        let mut levers = self.levers.lock();
        let code = levers.fresh("code");
        levers.codes.insert(code.clone(), url.query_pairs().into_owned().collect());
        ConnectCallback {
            code: Some(code),
            state: parameter(url, "state"),
            iss: Some(self.issuer()),
            error: None,
            error_description: None,
        }
    }

    pub(crate) fn requests(&self, grant_type: &str) -> Vec<HashMap<String, String>> {
        let all = &self.levers.lock().token_requests;
        all.iter().filter(|form| form["grant_type"] == grant_type).cloned().collect()
    }

    /// All received requests, as text.
    pub(crate) fn received(&self) -> String {
        let levers = self.levers.lock();
        format!(
            "{:?} {:?} {:?} {:?}",
            levers.heads, levers.token_requests, levers.registrations, levers.revoked
        )
    }

    /// The revoked tokens, once there are at least this many.
    pub(crate) async fn revoked(&self, tokens: usize) -> Vec<String> {
        for _ in 0..100 {
            if self.levers.lock().revoked.len() >= tokens {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.levers.lock().revoked.clone()
    }

    pub(crate) fn refreshes(&self) -> usize {
        self.requests("refresh_token").len()
    }
}

impl ProviderBehavior {
    /// Skips numbers, so the tokens of two providers differ.
    pub(crate) fn skip(&mut self, by: usize) {
        self.count += by;
    }

    fn fresh(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("plain-{kind}-{}", self.count)
    }

    fn issue(&mut self, old_refresh: Option<&str>) -> Value {
        let access = self.fresh("access");
        self.issued.push(access.clone());
        let mut answer = json!({"access_token": access, "token_type": "bearer"});
        if let Some(lifetime) = self.lifetime {
            answer["expires_in"] = json!(lifetime);
        }
        if let Some(scope) = self.grants {
            answer["scope"] = json!(scope);
        }
        if self.gives_refresh && (old_refresh.is_none() || self.rotates) {
            let refresh = self.fresh("refresh");
            self.issued.push(refresh.clone());
            self.refresh_tokens.retain(|token| Some(token.as_str()) != old_refresh);
            self.refresh_tokens.push(refresh.clone());
            answer["refresh_token"] = json!(refresh);
        }
        merged(answer, &self.tokens)
    }
}

fn merged(mut document: Value, over: &Value) -> Value {
    for (key, value) in over.as_object().unwrap() {
        match value {
            Value::Null => drop(document.as_object_mut().unwrap().remove(key)),
            value => document[key] = value.clone(),
        }
    }
    document
}

async fn record(State(provider): State<Provider>, request: Request, next: Next) -> Response {
    let head = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
    provider.levers.lock().heads.push(head);
    next.run(request).await
}

async fn origin(State(provider): State<Provider>, Json(message): Json<Value>) -> Response {
    if provider.levers.lock().greets && message["method"] == "initialize" {
        return Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": {}})).into_response();
    }
    if !provider.levers.lock().challenge {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let path = if provider.levers.lock().at_root { "" } else { "/mcp" };
    let metadata = format!("{}.well-known/oauth-protected-resource{path}", provider.base);
    let challenge = format!(r#"Bearer resource_metadata="{metadata}", scope="read""#);
    (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
}

async fn resource_metadata(State(provider): State<Provider>) -> Response {
    described(&provider, false)
}

async fn metadata_at_root(State(provider): State<Provider>) -> Response {
    described(&provider, true)
}

fn described(provider: &Provider, at_root: bool) -> Response {
    if provider.levers.lock().resource.is_null() || provider.levers.lock().at_root != at_root {
        return StatusCode::NOT_FOUND.into_response();
    }
    if let Some(status) = provider.levers.lock().undescribed {
        return status.into_response();
    }
    let document = json!({
        "resource": format!("{}mcp", provider.base),
        "authorization_servers": [provider.issuer()],
        "scopes_supported": ["read", "write"],
    });
    Json(merged(document, &provider.levers.lock().resource)).into_response()
}

async fn tenant_metadata(State(provider): State<Provider>, uri: Uri) -> Response {
    if provider.levers.lock().server_at != uri.path() {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(server_metadata(&provider)).into_response()
}

/// Metadata at the root, for clients that find no issuer in resource metadata (MCP 2025-03-26).
async fn root_metadata(State(provider): State<Provider>) -> Json<Value> {
    let document = server_metadata(&provider);
    let root = provider.base.origin().ascii_serialization();
    Json(merged(document, &json!({"issuer": root, "authorization_response_iss_parameter_supported": null})))
}

fn server_metadata(provider: &Provider) -> Value {
    let issuer = provider.issuer();
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "authorization_response_iss_parameter_supported": true,
    });
    merged(document, &provider.levers.lock().server)
}

async fn register(State(provider): State<Provider>, Json(request): Json<Value>) -> Response {
    let mut levers = provider.levers.lock();
    levers.registrations.push(request.clone());
    if let Some((status, kinds)) = levers.unwelcome
        && kinds.iter().any(|kind| request["application_type"] == *kind)
    {
        return refused(status, "invalid_client_metadata");
    }
    let mut answer = request;
    answer["client_id"] = json!(levers.fresh("client"));
    if answer["token_endpoint_auth_method"] != "none" {
        answer["client_secret"] = json!(levers.fresh("client-secret"));
        answer["client_secret_expires_at"] = json!(0);
    }
    let answer = merged(answer, &levers.registered);
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let secret = text("client_secret");
    levers.issued.extend(secret.clone());
    levers.clients.extend(text("client_id").map(|id| (id, secret)));
    (StatusCode::CREATED, Json(answer)).into_response()
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

/// The client of a request, if it authenticated.
fn authenticated(
    levers: &ProviderBehavior,
    headers: &HeaderMap,
    form: &HashMap<String, String>,
) -> Option<String> {
    let decode = |text: &str| {
        url::form_urlencoded::parse(format!("k={text}").as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
    };
    let basic = headers.get("authorization").and_then(|value| value.to_str().ok());
    let (id, secret) = match basic.and_then(|value| value.strip_prefix("Basic ")) {
        Some(basic) => {
            let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
            let (id, secret) = text.split_once(':')?;
            (decode(id)?, Some(decode(secret)?))
        }
        None => (form.get("client_id")?.clone(), form.get("client_secret").cloned()),
    };
    (levers.clients.get(&id)? == &secret).then_some(id)
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let delay = {
        let mut levers = provider.levers.lock();
        levers.token_requests.push(form.clone());
        levers.delay
    };
    tokio::time::sleep(delay).await;
    let mut levers = provider.levers.lock();
    if levers.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some((status, answer)) = levers.answers.clone() {
        return (status, Json(answer)).into_response();
    }
    let Some(client) = authenticated(&levers, &headers, &form) else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    if let Some(error) = levers.refuses {
        let quotes = ["subject_token", "assertion", "client_assertion"];
        let told = quotes.into_iter().find_map(|name| form.get(name)).cloned().unwrap_or_default();
        let answer = json!({"error": error, "error_description": format!("no use for {told}")});
        return (StatusCode::BAD_REQUEST, Json(answer)).into_response();
    }
    match form["grant_type"].as_str() {
        "authorization_code" => {
            let Some(asked) = levers.codes.remove(&form["code"]) else {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            };
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
            let same = |key: &str| asked.get(key) == form.get(key);
            if asked["code_challenge"] != challenge
                || asked["client_id"] != client
                || !same("redirect_uri")
                || !same("resource")
            {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            }
            Json(levers.issue(None)).into_response()
        }
        "client_credentials" => {
            levers.gives_refresh = false;
            Json(levers.issue(None)).into_response()
        }
        TOKEN_EXCHANGE | JWT_BEARER => {
            let mut answer = levers.issue(None);
            answer["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:access_token");
            Json(answer).into_response()
        }
        _ => {
            let refresh = &form["refresh_token"];
            if levers.dead || !levers.refresh_tokens.contains(refresh) {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            }
            Json(levers.issue(Some(refresh))).into_response()
        }
    }
}

/// The users' identity provider, which issues assertions to the gateway's client there.
async fn idp_metadata(State(provider): State<Provider>) -> Json<Value> {
    let issuer = format!("{}idp", provider.base);
    Json(json!({"issuer": issuer, "token_endpoint": format!("{issuer}/token")}))
}

async fn idp_token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut levers = provider.levers.lock();
    levers.token_requests.push(form.clone());
    let basic = STANDARD.encode("portcullis:the+idp+knows+us");
    if headers.get("authorization").is_none_or(|value| *value != format!("Basic {basic}")) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    if let Some(error) = levers.refuses {
        return refused(StatusCode::BAD_REQUEST, error);
    }
    let grant = levers.fresh("id-jag");
    levers.issued.push(grant.clone());
    let answer = json!({
        "access_token": grant, "issued_token_type": levers.issues, "token_type": "N_A", "expires_in": 300,
    });
    Json(answer).into_response()
}

async fn revoke(State(provider): State<Provider>, Form(form): Form<HashMap<String, String>>) -> StatusCode {
    provider.levers.lock().revoked.push(form["token"].clone());
    StatusCode::OK
}
