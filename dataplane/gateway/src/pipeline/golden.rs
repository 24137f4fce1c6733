//! Golden test of the gateway's requests to an origin, and of the headers that it forwards.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body as Page, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response as Answer};
use http::{HeaderMap, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use portcullis_egress::Egress;
use portcullis_golden::assert_golden;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::session::Session;
use super::session::golden::{caller, deferred};
use super::*;
use crate::golden::{context, headers, pretty, table_with};

type Asked = Arc<Mutex<Vec<Value>>>;

/// Headers that do not depend on the gateway, or differ from run to run.
const INCIDENTAL: [header::HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::DATE];

fn shown(headers: &HeaderMap) -> Value {
    let pairs = headers.iter().filter(|(name, _)| !INCIDENTAL.contains(name));
    let pairs = pairs.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    Value::Object(pairs.collect::<Map<_, _>>())
}

async fn origin(State(asked): State<Asked>, request: Request<Page>) -> Answer {
    let (head, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&to_bytes(body, 1 << 20).await.unwrap()).unwrap();
    asked.lock().push(json!({"method": head.method.as_str(), "headers": shown(&head.headers), "body": body}));
    let result = match body["method"].as_str() {
        Some("initialize") => json!({"protocolVersion": "2025-06-18", "capabilities": {}}),
        Some("resources/templates/list") => json!({"resourceTemplates": [{"uriTemplate": "notes://{id}"}]}),
        _ => json!({"contents": []}),
    };
    let own =
        [("mcp-session-id", "origin-session"), ("mcp-x", "1"), ("set-cookie", "a=b"), ("x-origin", "1")];
    (own, axum::Json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result}))).into_response()
}

async fn origin_url(asked: &Asked) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(origin).with_state(Arc::clone(asked));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Sends a request through the pipeline and returns the raw response.
async fn exchange(context: Context, request: &str) -> String {
    let (context, upstreams) = (Arc::new(context), Arc::new(UpstreamPool::new(Egress::default())));
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let service = service_fn(async |request| {
        let table = context.tables.current().unwrap();
        let connection = context.limits.connections.admit([127, 0, 0, 1].into(), false).unwrap();
        Ok::<_, Infallible>(serve(&context, &upstreams, table, "r", &connection, request).await)
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let mut answer = String::new();
    let asking = async {
        client.write_all(request.as_bytes()).await.unwrap();
        client.read_to_string(&mut answer).await.unwrap();
    };
    let (ended, ()) = tokio::join!(connection, asking);
    ended.unwrap();
    answer
}

#[tokio::test]
async fn requests_to_origins_are_stable() {
    let (asked, context) = (Asked::default(), context().await);
    let url = origin_url(&asked).await;
    context.tables.swap(table_with(|config| {
        config["origins"][0]["url"] = url.into();
        config["routes"][0]["capabilities"]["resources"]["include"] = json!(["files://readme"]);
    }));
    let mut headers = headers(&context);
    let by = caller(&context, &headers).await;
    let session = Session::seal(&context, &by, deferred(), false).ok().unwrap();
    headers.insert("mcp-session-id", session);
    for (name, value) in [
        ("accept", "application/json, text/event-stream"),
        ("accept-encoding", "gzip"),
        ("accept-language", "de"),
        ("connection", "close"),
        ("content-type", "application/json"),
        ("cookie", "a=b"),
        ("mcp-protocol-version", "2025-06-18"),
        ("mcp-param-x", "1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=b"),
        ("user-agent", "client/1"),
        ("x-client", "1"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"notes://1"}}"#;
    let mut request = format!("POST /mcp/r HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in &headers {
        request += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let answer = exchange(context, &format!("{request}\r\n{body}")).await;
    let lines = answer.lines().filter(|line| !line.starts_with("date: "));
    let golden = json!({"origin is asked": *asked.lock(), "client is answered": lines.collect::<Vec<_>>()});
    assert_golden("mcp/requests.json", &pretty(&golden));
}
