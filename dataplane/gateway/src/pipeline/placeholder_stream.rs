//! A stream that the gateway serves itself until the user connects an account. It then reports that the lists
//! have changed and ends, and the client's next stream comes from the origin.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};
use http_body::Frame;
use portcullis_mcp::message::Message;
use portcullis_origin_auth::ConnectionChange;
use portcullis_policy::{CredentialSubject, PrincipalId};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::Context;
use super::audit_record::AuditRecord;
use super::authenticate::Authenticated;
use super::body::{Body, BodyError};
use super::stream_guard::{StreamGuard, StreamStatus};

const SUBSCRIPTION_ID_KEY: &str = "io.modelcontextprotocol/subscriptionId";
const LIST_KINDS: [&str; 3] = ["tools", "prompts", "resources"];

/// The body of a placeholder stream.
pub(super) struct PlaceholderStream {
    ready: VecDeque<Bytes>,
    /// Events to send when the account is connected.
    connected_events: Vec<Bytes>,
    /// Event to send if the process shuts down first.
    closing_event: Option<Bytes>,
    connected: Pin<Box<dyn Future<Output = ()> + Send>>,
    watch: StreamGuard,
    record: AuditRecord,
    bytes: u64,
}

impl PlaceholderStream {
    /// Replaces the origin's GET stream.
    pub(super) fn legacy(context: &Arc<Context>, by: &Authenticated, record: &mut AuditRecord) -> Self {
        let news = LIST_KINDS
            .iter()
            .map(|kind| {
                sse_event(&json!({"jsonrpc": "2.0", "method": format!("notifications/{kind}/list_changed")}))
            })
            .collect();
        // The comment is sent at once, so intermediaries recognize a stream.
        Self::new(context, by, record, Bytes::from_static(b": waiting\n\n"), news, None)
    }

    /// Answers `subscriptions/listen` (2026-07-28, basic/patterns/subscriptions).
    pub(super) fn modern(
        context: &Arc<Context>,
        by: &Authenticated,
        message: &Message<'_>,
        record: &mut AuditRecord,
    ) -> Self {
        let id: Value = message.id.and_then(|id| serde_json::from_str(id.get()).ok()).unwrap_or_default();
        let notification = |method: String, mut params: Value| {
            if let Value::Object(params) = &mut params {
                params.insert("_meta".to_owned(), json!({SUBSCRIPTION_ID_KEY: id}));
            }
            sse_event(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
        };
        let wanted: Vec<_> = LIST_KINDS.iter().filter(|kind| message.subscribes_to_list(kind)).collect();
        let accepted: Value = wanted
            .iter()
            .map(|kind| (format!("{kind}ListChanged"), Value::from(true)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let acknowledged = notification(
            "notifications/subscriptions/acknowledged".to_owned(),
            json!({"notifications": accepted}),
        );
        let mut news: Vec<_> = wanted
            .iter()
            .map(|kind| notification(format!("notifications/{kind}/list_changed"), json!({})))
            .collect();
        let done = subscription_complete_event(&id);
        news.push(done.clone());
        Self::new(context, by, record, acknowledged, news, Some(done))
    }

    fn new(
        context: &Arc<Context>,
        by: &Authenticated,
        record: &mut AuditRecord,
        first: Bytes,
        news: Vec<Bytes>,
        farewell: Option<Bytes>,
    ) -> Self {
        record.mark_open_ended();
        let changes = context.broker.changes();
        let who = match by.route().origin.credential_subject() {
            CredentialSubject::SharedAccount => PrincipalId::shared(),
            _ => by.caller().principal.id.clone(),
        };
        let origin = Arc::clone(&by.route().origin.uid);
        Self {
            ready: VecDeque::from([first]),
            connected_events: news,
            closing_event: farewell,
            connected: Box::pin(wait_connected(changes, who, origin)),
            watch: StreamGuard::open_ended(context, by),
            record: record.hand_over(),
            bytes: 0,
        }
    }

    pub(super) fn respond(self) -> Response<Body> {
        let mut response = Response::new(Body::stream(self));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        response
    }
}

impl http_body::Body for PlaceholderStream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.ready.pop_front() {
                this.bytes += event.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(event))));
            }
            if this.connected_events.is_empty() {
                this.record.finish(this.bytes);
                return Poll::Ready(None);
            }
            if this.connected.as_mut().poll(cx).is_ready() {
                this.ready.extend(this.connected_events.drain(..));
                continue;
            }
            match this.watch.poll(cx) {
                Poll::Ready(StreamStatus::AccessEnded) => this.connected_events.clear(),
                Poll::Ready(StreamStatus::ShuttingDown) => {
                    this.connected_events.clear();
                    this.ready.extend(this.closing_event.take());
                }
                Poll::Ready(StreamStatus::SendKeepAlive) => {
                    this.ready.push_back(Bytes::from_static(b": waiting\n\n"))
                }
                Poll::Ready(StreamStatus::Continue) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

async fn wait_connected(
    mut changes: broadcast::Receiver<ConnectionChange>,
    who: PrincipalId,
    origin: Arc<str>,
) {
    loop {
        match changes.recv().await {
            Ok(change) if change.connected && change.who == who && change.origin_uid == origin => return,
            Ok(_) => {}
            // A change was missed and may have been this one. A redundant list change is harmless.
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The event that ends a subscription (2026-07-28, basic/patterns/subscriptions, "Graceful Closure").
pub(super) fn subscription_complete_event(id: &Value) -> Bytes {
    let done = json!({"resultType": "complete", "_meta": {SUBSCRIPTION_ID_KEY: id}});
    sse_event(&json!({"jsonrpc": "2.0", "id": id, "result": done}))
}

fn sse_event(message: &Value) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}
