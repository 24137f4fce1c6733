//! Requests through the whole pipeline to a scripted origin: the client's response, what the origin received,
//! and the recorded event.

mod authorization;
mod connect;
mod curation;
mod placeholder;
mod records;
mod relaying;
mod sessions;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body as OriginBody, to_bytes};
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use portcullis_egress::Egress;
use portcullis_events::{EventSink, RecordedEvents};
use portcullis_golden::config::{everything, with};
use portcullis_keyring::Purpose;
use portcullis_store::ConnectionRow;
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use super::*;
use crate::golden::{ana, context, headers, table_with};
use crate::limits::LimitSettings;

/// A response of the scripted origin.
pub(in crate::pipeline) type OriginAnswer = Response<OriginBody>;
type Script = dyn Fn(&OriginRequest) -> OriginAnswer + Send + Sync;

/// Changes the config documents.
type Change = fn(&mut Value);
/// Sends the JSON text of a response in some form.
type Delivery = fn(String) -> OriginAnswer;

/// Session id of the scripted origin.
const ORIGIN_SESSION: &str = "origin-session";

/// A request that the origin received.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct OriginRequest {
    pub(in crate::pipeline) method: Method,
    pub(in crate::pipeline) headers: HeaderMap,
    /// `null` without a body.
    pub(in crate::pipeline) body: Value,
}

impl OriginRequest {
    /// Name of the MCP method, or of the HTTP method if there is no message.
    fn method_name(&self) -> &str {
        self.body["method"].as_str().unwrap_or(self.method.as_str())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A JSON-RPC result of the origin.
pub(in crate::pipeline) fn result(request: &OriginRequest, result: &Value) -> OriginAnswer {
    json_answer(json!({"jsonrpc": "2.0", "id": request.body["id"], "result": result}).to_string())
}

/// A complete JSON body of the origin.
fn json_answer(body: impl Into<OriginBody>) -> OriginAnswer {
    typed("application/json", body)
}

fn typed(media: &'static str, body: impl Into<OriginBody>) -> OriginAnswer {
    Response::builder().header(CONTENT_TYPE, media).body(body.into()).unwrap()
}

/// A body of the origin without a length, in these chunks.
fn chunked(media: &'static str, chunks: impl IntoIterator<Item = Bytes>) -> OriginAnswer {
    let chunks: Vec<_> = chunks.into_iter().map(Ok::<_, Infallible>).collect();
    typed(media, OriginBody::from_stream(futures_util::stream::iter(chunks)))
}

/// A body of the origin that breaks off after this text.
fn broken_off(media: &'static str, text: &'static str) -> OriginAnswer {
    let error = async {
        // The text is sent before.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::other("broken off"))
    };
    let body = futures_util::stream::iter([Ok(text)]).chain(futures_util::stream::once(error));
    typed(media, OriginBody::from_stream(body))
}

/// A stream of the origin with these messages, which then ends.
fn stream(messages: &[Value]) -> OriginAnswer {
    typed(
        "text/event-stream",
        messages.iter().map(|message| format!("data: {message}\n\n")).collect::<String>(),
    )
}

/// A stream of the origin with these messages, which stays open.
fn open_stream(messages: &[Value]) -> OriginAnswer {
    let sent: Vec<_> =
        messages.iter().map(|message| Ok::<_, Infallible>(format!("data: {message}\n\n"))).collect();
    let body = futures_util::stream::iter(sent).chain(futures_util::stream::pending());
    typed("text/event-stream", OriginBody::from_stream(body))
}

/// An origin that answers every request with an empty result, and opens a session for `initialize`.
fn obliging(request: &OriginRequest) -> OriginAnswer {
    if request.method_name() != "initialize" {
        return result(request, &json!({}));
    }
    let mut answer = result(request, &json!({"protocolVersion": "2025-11-25", "capabilities": {}}));
    answer.headers_mut().insert("mcp-session-id", HeaderValue::from_static(ORIGIN_SESSION));
    answer
}

#[derive(Clone)]
struct Origin {
    script: Arc<Script>,
    received: Arc<Mutex<Vec<OriginRequest>>>,
}

async fn answer(State(origin): State<Origin>, request: Request<OriginBody>) -> OriginAnswer {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let request = OriginRequest { method: head.method, headers: head.headers, body };
    origin.received.lock().push(request.clone());
    (origin.script)(&request)
}

async fn start(origin: Origin) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer).with_state(origin);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A gateway with one route, an origin, and a client of Ana's.
pub(in crate::pipeline) struct TestGateway {
    pub(in crate::pipeline) context: Arc<Context>,
    upstreams: Arc<UpstreamPool>,
    received: Arc<Mutex<Vec<OriginRequest>>>,
    events: RecordedEvents,
    url: String,
}

impl TestGateway {
    /// `change` edits the config documents, `script` decides the origin's answers.
    pub(in crate::pipeline) async fn new(
        change: impl FnOnce(&mut Value),
        script: impl Fn(&OriginRequest) -> OriginAnswer + Send + Sync + 'static,
    ) -> Self {
        Self::with_limits(LimitSettings::default(), change, script).await
    }

    async fn with_limits(
        limits: LimitSettings,
        change: impl FnOnce(&mut Value),
        script: impl Fn(&OriginRequest) -> OriginAnswer + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin { script: Arc::new(script), received: Arc::default() };
        let received = Arc::clone(&origin.received);
        let url = start(origin).await;
        let (mut context, (sink, events)) = (context().await, EventSink::in_memory());
        (context.events, context.limits) = (sink, Arc::new(Limits::new(limits)));
        let (context, upstreams) = (Arc::new(context), Arc::new(UpstreamPool::new(Egress::default())));
        let gateway = Self { context, upstreams, received, events, url };
        gateway.reconfigure(change);
        gateway
    }

    /// Replaces the route table by the default one with these changes.
    fn reconfigure(&self, change: impl FnOnce(&mut Value)) {
        self.context.tables.swap(table_with(|config| {
            config["origins"][0]["url"] = self.url.as_str().into();
            change(config);
        }));
    }

    /// Opens a connection to the gateway.
    pub(in crate::pipeline) fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (context, upstreams) = (Arc::clone(&self.context), Arc::clone(&self.upstreams));
        tokio::spawn(async move {
            let connection = context.limits.connections.admit([127, 0, 0, 1].into(), false).unwrap();
            let service = service_fn(|request| {
                let table = context.tables.current().unwrap();
                serve(&context, &upstreams, table, "r", &connection, request).map(Ok::<_, Infallible>)
            });
            http1::Builder::new().serve_connection(TokioIo::new(server), service).await
        });
        client
    }

    /// Sends a request with Ana's token and returns the response, whose body is not read yet.
    ///
    /// # Errors
    /// If the connection is closed before the response.
    async fn try_open(&self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.connect())).await?;
        tokio::spawn(connection);
        let mut request = request;
        let token = headers(&self.context).remove(AUTHORIZATION).unwrap();
        request.headers_mut().entry(AUTHORIZATION).or_insert(token);
        sender.send_request(request).await
    }

    async fn open(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.try_open(request).await.unwrap()
    }

    /// Sends a request with Ana's token and reads the complete response.
    ///
    /// # Errors
    /// If the response breaks off.
    async fn try_send(&self, request: Request<Full<Bytes>>) -> hyper::Result<Reply> {
        let (head, body) = self.try_open(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// Opens a legacy session and returns the id that the client gets. Forgets its events and requests.
    async fn session(&self, capabilities: &Value) -> HeaderValue {
        let client = json!({"name": "client", "version": "1"});
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client});
        let reply = self.send(legacy("initialize", params)).await;
        self.received();
        drop(self.events.drain());
        reply.headers["mcp-session-id"].clone()
    }

    /// Removes and returns the requests that the origin received.
    pub(in crate::pipeline) fn received(&self) -> Vec<OriginRequest> {
        std::mem::take(&mut *self.received.lock())
    }

    /// Removes and returns the only request that the origin received.
    fn received_one(&self) -> OriginRequest {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }

    /// Waits for the event of a request, removes and returns it. There must be exactly one.
    async fn event(&self) -> Value {
        self.events(1).await.remove(0)
    }

    /// Waits for this number of events, removes and returns them.
    async fn events(&self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        for _ in 0..5000 {
            events.extend(self.events.drain());
            if events.len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(events.len(), count, "{events:?}");
        events.into_iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    /// Stores a connected account of Ana's with this access token. The origin must use `userOAuth`.
    async fn connect_account(&self, token: &str) {
        self.store_account(ana().id.as_str(), "origin-uid", token).await;
    }

    async fn store_account(&self, principal_id: &str, origin_uid: &str, token: &str) {
        let mut row = ConnectionRow {
            principal_id: principal_id.into(),
            origin_uid: origin_uid.into(),
            origin_url: self.url.clone(),
            resource: self.url.clone(),
            issuer: "https://as.example".into(),
            token_endpoint: "https://as.example/token".into(),
            revocation_endpoint: None,
            client_id: "client-id".into(),
            registration: "dynamic".into(),
            auth_method: "none".into(),
            scope: String::new(),
            sealed: String::new(),
            issued_at: self.context.clock.now().0,
            expires_at: None,
            dead: 0,
            revision: "revision".into(),
            leased_until: 0,
            connected_at: self.context.clock.now().0,
            last_used_at: None,
        };
        let bound_to = [
            "connection",
            &row.principal_id,
            &row.origin_uid,
            &row.issuer,
            &row.origin_url,
            &row.token_endpoint,
            &row.client_id,
        ];
        let tokens = json!({"access": token, "refresh": null, "client_secret": null}).to_string();
        let (keys, random) = (&self.context.keys.sealing, &self.context.random);
        let sealed = keys.seal(random, Purpose::Credential, &bound_to, tokens.as_bytes()).unwrap();
        row.sealed = URL_SAFE_NO_PAD.encode(sealed);
        self.context.store.put_connection(&row).await.unwrap();
    }
}

/// A complete response to the client.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Code and reason of a JSON-RPC error.
    fn error(&self) -> (i64, String) {
        let error = &self.json()["error"];
        let reason = error["data"]["reason"].as_str().unwrap_or_default().to_owned();
        (error["code"].as_i64().unwrap_or_default(), reason)
    }

    /// The JSON-RPC messages: of each event, or the body.
    fn messages(&self) -> Vec<Value> {
        if self.headers[CONTENT_TYPE] != "text/event-stream" {
            return vec![self.json()];
        }
        let text = std::str::from_utf8(&self.body).unwrap();
        text.lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

/// An MCP era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Era {
    Legacy,
    Modern,
}

impl Era {
    fn request(self, method: &str, params: Value) -> Request<Full<Bytes>> {
        match self {
            Self::Legacy => legacy(method, params),
            Self::Modern => modern(method, params),
        }
    }
}

/// A POST of this message.
fn post(message: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/mcp/r")
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream")
        .body(Full::new(message.into()))
        .unwrap()
}

/// A request of revision 2025-11-25.
fn legacy(method: &str, params: Value) -> Request<Full<Bytes>> {
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    with_header(post(message.to_string()), "mcp-protocol-version", "2025-11-25")
}

/// A request of revision 2026-07-28, with the headers that it requires. Members of `_meta` are added.
fn modern(method: &str, mut params: Value) -> Request<Full<Bytes>> {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "client", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let more = params.get("_meta").cloned().unwrap_or_else(|| json!({}));
    params["_meta"] = with(meta, more);
    let name = params["name"].as_str().or_else(|| params["uri"].as_str()).map(ToOwned::to_owned);
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let mut request = with_header(post(message.to_string()), "mcp-protocol-version", "2026-07-28");
    request = with_header(request, "mcp-method", method);
    match name {
        Some(name) => with_header(request, "mcp-name", &name),
        None => request,
    }
}

/// The request for the stream of a legacy origin.
fn get() -> Request<Full<Bytes>> {
    let request = Request::get("/mcp/r").header(ACCEPT, "text/event-stream").body(Full::default());
    with_header(request.unwrap(), "mcp-protocol-version", "2025-11-25")
}

/// `_meta` of a modern request of a client with these capabilities.
fn client_capabilities(capabilities: &Value) -> Value {
    json!({"io.modelcontextprotocol/clientCapabilities": capabilities})
}

fn with_header(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: impl TryInto<HeaderValue, Error: std::fmt::Debug>,
) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.try_into().unwrap());
    request
}

/// Changes a selection of the route's capabilities.
fn select(config: &mut Value, kind: &str, members: Value) {
    config["routes"][0]["capabilities"][kind] = with(everything(), members);
}

/// Makes each user connect an account at the origin.
fn personal(config: &mut Value) {
    config["origins"][0]["auth"] = json!({"userOAuth": {"scopes": [], "registration": "auto"}});
}

/// Gives a group access to the route, with these tools. Other users have none.
fn add_team(config: &mut Value, group: &str, tools: Value) {
    config["routes"][0]["access"] = json!("Teams");
    config["teams"].as_array_mut().unwrap().push(json!({
        "uid": group, "name": format!("mcp/{group}"), "displayName": group,
        "members": {"groups": [group], "users": [], "serviceAccounts": []},
        "access": [{"route": "route-uid", "tools": with(everything(), tools)}],
    }));
}
