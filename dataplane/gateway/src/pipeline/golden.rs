//! Golden test of the gateway's requests to an origin, and of the headers that it forwards.

use http::{HeaderMap, header};
use portcullis_golden::assert_golden;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::session::Session;
use super::session::golden::{caller, deferred};
use super::tests::{OriginAnswer, OriginRequest, TestGateway, result};
use crate::golden::{headers, pretty};

/// Headers that do not depend on the gateway, or differ from run to run.
const INCIDENTAL: [header::HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::DATE];

fn shown(headers: &HeaderMap) -> Value {
    let pairs = headers.iter().filter(|(name, _)| !INCIDENTAL.contains(name));
    let pairs = pairs.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn origin(request: &OriginRequest) -> OriginAnswer {
    let mut answer = match request.body["method"].as_str() {
        Some("initialize") => result(request, &json!({"protocolVersion": "2025-06-18", "capabilities": {}})),
        Some("resources/templates/list") => {
            result(request, &json!({"resourceTemplates": [{"uriTemplate": "notes://{id}"}]}))
        }
        _ => result(request, &json!({"contents": []})),
    };
    for (name, value) in
        [("mcp-session-id", "origin-session"), ("mcp-x", "1"), ("set-cookie", "a=b"), ("x-origin", "1")]
    {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

/// Sends a request through the pipeline and returns the raw response.
async fn exchange(gateway: &TestGateway, request: &str) -> String {
    let (mut client, mut answer) = (gateway.connect(), String::new());
    client.write_all(request.as_bytes()).await.unwrap();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn requests_to_origins_are_stable() {
    let curated = |config: &mut Value| {
        config["routes"][0]["capabilities"]["resources"]["include"] = json!(["files://readme"]);
    };
    let gateway = TestGateway::new(curated, origin).await;
    let context = &gateway.context;
    let mut headers = headers(context);
    let by = caller(context, &headers).await;
    let session = Session::seal(context, &by, deferred(), false).ok().unwrap();
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
    let answer = exchange(&gateway, &format!("{request}\r\n{body}")).await;
    let lines = answer.lines().filter(|line| !line.starts_with("date: "));
    let asked = gateway.received().into_iter().map(|OriginRequest { method, headers, body }| {
        json!({"method": method.as_str(), "headers": shown(&headers), "body": body})
    });
    let asked: Vec<_> = asked.collect();
    let golden = json!({"origin is asked": asked, "client is answered": lines.collect::<Vec<_>>()});
    assert_golden("mcp/requests.json", &pretty(&golden));
}
