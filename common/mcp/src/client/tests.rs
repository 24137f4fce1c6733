//! Tests with a transport that returns prepared responses.

use std::collections::VecDeque;
use std::convert::Infallible;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue};
use serde_json::json;

use super::*;
use crate::header::{METHOD, NAME, PROTOCOL_VERSION, SESSION_ID};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";

/// Returns its responses in order, and keeps the requests.
#[derive(Default)]
struct Prepared {
    responses: VecDeque<(Response<()>, Vec<&'static str>)>,
    requests: Vec<Request<Bytes>>,
}

impl Prepared {
    fn and(mut self, status: u16, media: &'static str, chunks: &[&'static str]) -> Self {
        let response = Response::builder().status(status).header("content-type", media);
        let response = response.header(SESSION_ID, "of-the-origin").body(()).unwrap();
        self.responses.push_back((response, chunks.to_vec()));
        self
    }

    fn client(self, session: Session) -> Client<Self> {
        Client::new(self, session, "own", 200)
    }
}

impl Transport for Prepared {
    type Body = VecDeque<&'static str>;
    type Error = Infallible;

    async fn send(&mut self, request: Request<Bytes>) -> Result<Response<Self::Body>, Infallible> {
        self.requests.push(request);
        let (head, chunks) = self.responses.pop_front().expect("a response for each request");
        Ok(head.map(|()| chunks.into()))
    }

    /// A stream that is read past its prepared chunks stays open: the test fails.
    async fn chunk(&mut self, body: &mut Self::Body) -> Result<Option<Bytes>, Infallible> {
        match body.pop_front() {
            Some("(open)") => panic!("the client waits for an open stream"),
            chunk => Ok(chunk.map(Bytes::from)),
        }
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("no waiting without I/O")
}

fn request(prepared: Prepared) -> Result<Reply, ClientError<Infallible>> {
    now(prepared.client(Session::legacy()).request("ping", Map::new()))
}

fn templates(prepared: Prepared) -> ListReply {
    now(prepared.client(Session::legacy()).list(Method::ResourceTemplatesList)).unwrap()
}

#[test]
fn given_an_event_stream_when_the_response_arrives_then_the_client_does_not_wait_for_its_end() {
    let prepared = Prepared::default().and(
        200,
        EVENTS,
        &[
            ": comment\n\nevent: ping\ndata: not JSON\n\n",
            "data: {\"jsonrpc\":\"2.0\",\"id\":\"own\",\"method\":\"ping\"}\n\ndata: {\"jsonrpc\":",
            "\"2.0\",\"id\":\"own\",\"result\":{\"a\":1}}\n\n",
            "(open)",
        ],
    );
    assert_eq!(request(prepared).unwrap().result().unwrap().get(), r#"{"a":1}"#);
}

#[test]
fn given_an_event_stream_without_closing_line_when_it_ends_then_its_last_event_counts() {
    let prepared = Prepared::default().and(200, EVENTS, &["data: {\"id\":\"own\",\"result\":{}}"]);
    assert!(request(prepared).unwrap().result().is_some());
}

#[test]
fn given_other_messages_then_they_are_not_the_response() {
    for (status, media, body) in [
        (200, JSON, r#"{"jsonrpc":"2.0","id":"other","result":{}}"#),
        (200, JSON, r#"{"jsonrpc":"2.0","id":"own","method":"ping"}"#),
        (200, JSON, r#"{"jsonrpc":"2.0","id":"own","result":null}"#),
        (200, JSON, "<html>"),
        (200, JSON, ""),
        (500, JSON, r#"{"jsonrpc":"2.0","id":"own","result":{}}"#),
        (200, EVENTS, "data: {\"error\":{\"code\":1,\"message\":\"of another request\"}}\n\n"),
    ] {
        let reply = request(Prepared::default().and(status, media, &[body])).unwrap();
        assert!(reply.result().is_none() && reply.error().is_none(), "{body}");
        assert_eq!(reply.status(), status);
    }
}

#[test]
fn given_errors_then_the_reply_contains_them() {
    for body in [
        r#"{"id":"own","error":{"code":-32601,"message":"none"}}"#,
        r#"{"id":null,"error":{"code":-32601,"message":"none"}}"#,
        r#"{"error":{"code":-32601,"message":"none"}}"#,
        r#"{"id":"own","result":null,"error":{"code":-32601}}"#,
    ] {
        let reply = request(Prepared::default().and(400, JSON, &[body])).unwrap();
        assert_eq!(reply.error().unwrap().code, -32601, "{body}");
    }
    let result = request(Prepared::default().and(200, JSON, &[r#"{"id":"own","result":{},"error":null}"#]));
    assert!(result.unwrap().result().is_some(), "null counts as absent");
}

#[test]
fn given_a_response_over_the_limit_then_reading_stops() {
    const FILL: &str = ": 0123456789012345678901234567890123456789012345678901234567890123456789\n\n";
    for media in [JSON, EVENTS] {
        let prepared = Prepared::default().and(200, media, &[FILL, FILL, FILL, "(open)"]);
        assert!(matches!(request(prepared), Err(ClientError::TooLarge { limit: 200 })), "{media}");
    }
}

#[test]
fn given_an_origin_that_opens_a_session_then_later_requests_carry_what_was_agreed() {
    let greeting = r#"{"id":"own","result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;
    let prepared = Prepared::default().and(200, JSON, &[greeting]).and(202, JSON, &[]).and(
        200,
        JSON,
        &[r#"{"id":"own-2","result":{}}"#],
    );
    let mut client = prepared.client(Session::legacy());
    let params = RawValue::from_string(r#"{"protocolVersion":"2025-11-25"}"#.to_owned()).unwrap();
    let opened = now(client.initialize(&params)).unwrap();
    assert!(matches!(opened, Handshake::Opened { confirmed: StatusCode::ACCEPTED, .. }));
    assert!(now(client.request("ping", Map::new())).unwrap().result().is_some());
    let (transport, _) = client.into_parts();
    let [initialize, initialized, ping] = <[_; 3]>::try_from(transport.requests).unwrap();
    assert!(!initialize.headers().contains_key(PROTOCOL_VERSION));
    assert!(initialize.body().ends_with(br#""params":{"protocolVersion":"2025-11-25"}}"#));
    for later in [initialized, ping] {
        assert_eq!(later.headers()[PROTOCOL_VERSION], "2025-06-18");
        assert_eq!(later.headers()[SESSION_ID], "of-the-origin");
    }
}

#[test]
fn given_an_origin_that_does_not_initialize_then_nothing_more_is_sent() {
    for (status, body) in [(401, ""), (200, r#"{"id":"own","error":{"code":-32602,"message":"version"}}"#)] {
        let mut client = Prepared::default().and(status, JSON, &[body]).client(Session::legacy());
        let params = RawValue::from_string("{}".to_owned()).unwrap();
        assert!(matches!(now(client.initialize(&params)).unwrap(), Handshake::Rejected(_)));
        let (transport, session) = client.into_parts();
        assert_eq!(transport.requests.len(), 1);
        assert!(session.id().is_none());
    }
}

#[test]
fn given_the_stateless_era_then_each_request_states_version_and_client() {
    let session = Session::modern(MODERN_VERSION)
        .with_client_info(json!({"name": "portcullis", "version": "1"}))
        .with_headers(HeaderMap::from_iter([
            (NAME, HeaderValue::from_static("of another request")),
            (METHOD, HeaderValue::from_static("tools/call")),
        ]));
    let request = session.request("tools/list", "own", Map::new());
    assert_eq!(request.headers()[METHOD], "tools/list");
    assert_eq!(request.headers()[PROTOCOL_VERSION], MODERN_VERSION);
    assert!(!request.headers().contains_key(NAME));
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "portcullis", "version": "1"},
    });
    assert_eq!(
        body,
        json!({"jsonrpc": "2.0", "id": "own", "method": "tools/list", "params": {"_meta": meta}})
    );
}

#[test]
fn given_pages_then_the_list_contains_all_of_them() {
    let prepared = Prepared::default()
        .and(
            200,
            JSON,
            &[r#"{"id":"own","result":{"resourceTemplates":[{"uriTemplate":"a"}],"nextCursor":"2"}}"#],
        )
        .and(
            200,
            JSON,
            &[r#"{"id":"own-2","result":{"resourceTemplates":[{"uriTemplate":"b"}],"nextCursor":null}}"#],
        );
    let ListReply::Listed(list) = templates(prepared) else { panic!("a list") };
    let items: Vec<_> = list.items.iter().map(|item| item.get()).collect();
    assert_eq!(items, [r#"{"uriTemplate":"a"}"#, r#"{"uriTemplate":"b"}"#]);
    assert!(list.complete);
}

#[test]
fn given_an_origin_that_repeats_a_cursor_then_the_walk_ends() {
    let prepared = Prepared::default()
        .and(200, JSON, &[r#"{"id":"own","result":{"resourceTemplates":[],"nextCursor":"x"}}"#])
        .and(200, JSON, &[r#"{"id":"own-2","result":{"resourceTemplates":[],"nextCursor":"x"}}"#]);
    assert!(matches!(templates(prepared), ListReply::Listed(Listing { complete: true, .. })));
}

#[test]
fn given_anything_but_a_list_then_it_is_not_taken_for_an_empty_one() {
    for (status, body) in [
        (500, r#"{"id":"own","result":{"resourceTemplates":[]}}"#),
        (200, r#"{"id":"own","result":{}}"#),
        (200, r#"{"id":"own","error":{"code":-32603,"message":"later"}}"#),
        (200, r#"{"id":"own","result":{"resourceTemplates":[],"ResourceTemplates":[]}}"#),
        (401, ""),
    ] {
        let reply = templates(Prepared::default().and(status, JSON, &[body]));
        assert!(matches!(reply, ListReply::Failed(_)), "{body}");
    }
    let unsupported = r#"{"id":"own","error":{"code":-32601,"message":"no such method"}}"#;
    for status in [200, 404] {
        let reply = templates(Prepared::default().and(status, JSON, &[unsupported]));
        assert!(matches!(reply, ListReply::Unsupported));
    }
}
