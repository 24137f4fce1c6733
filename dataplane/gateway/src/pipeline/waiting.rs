//! A stream that the gateway keeps open itself, while its user has no account connected. Once they have, it says that the lists
//! have changed and ends, so that the client's next stream is the origin's own.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};
use http_body::Frame;
use portcullis_policy::{Holder, PrincipalId};
use portcullis_vault::ConnectionChange;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::Context;
use super::body::{Body, BodyError};
use super::message::Received;
use super::principal::Authenticated;
use super::record::Record;
use super::watch::{Look, Watch};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const KINDS: [&str; 3] = ["tools", "prompts", "resources"];

/// The body of such a stream.
pub(super) struct Waiting {
    ready: VecDeque<Bytes>,
    /// What is still to be said when the account is connected.
    news: Vec<Bytes>,
    /// What is said when the process ends before that.
    farewell: Option<Bytes>,
    connected: Pin<Box<dyn Future<Output = ()> + Send>>,
    watch: Watch,
    record: Record,
    bytes: u64,
}

impl Waiting {
    /// In place of the origin's GET stream.
    pub(super) fn legacy(context: &Arc<Context>, by: &Authenticated, record: &mut Record) -> Self {
        let news = KINDS
            .iter()
            .map(|kind| {
                event(&json!({"jsonrpc": "2.0", "method": format!("notifications/{kind}/list_changed")}))
            })
            .collect();
        // Something at once, so that whatever lies between sees a stream.
        Self::new(context, by, record, Bytes::from_static(b": waiting\n\n"), news, None)
    }

    /// The answer to `subscriptions/listen` (2026-07-28, basic/patterns/subscriptions).
    pub(super) fn modern(context: &Arc<Context>, received: &Received<'_>, record: &mut Record) -> Self {
        let id: Value =
            received.message().id.and_then(|id| serde_json::from_str(id.get()).ok()).unwrap_or_default();
        let told = |method: String, mut params: Value| {
            if let Value::Object(params) = &mut params {
                params.insert("_meta".to_owned(), json!({SUBSCRIPTION: id}));
            }
            event(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
        };
        let wanted: Vec<_> = KINDS.iter().filter(|kind| received.message().listens(kind)).collect();
        let accepted: Value = wanted
            .iter()
            .map(|kind| (format!("{kind}ListChanged"), Value::from(true)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let acknowledged =
            told("notifications/subscriptions/acknowledged".to_owned(), json!({"notifications": accepted}));
        let mut news: Vec<_> =
            wanted.iter().map(|kind| told(format!("notifications/{kind}/list_changed"), json!({}))).collect();
        let done = complete(&id);
        news.push(done.clone());
        Self::new(context, received.by(), record, acknowledged, news, Some(done))
    }

    fn new(
        context: &Arc<Context>,
        by: &Authenticated,
        record: &mut Record,
        first: Bytes,
        news: Vec<Bytes>,
        farewell: Option<Bytes>,
    ) -> Self {
        record.open_ended();
        let changes = context.vault.changes();
        let who = match by.route().origin.holder() {
            Holder::Everybody => PrincipalId::everybody(),
            _ => by.caller().principal.id.clone(),
        };
        let origin = Arc::clone(&by.route().origin.uid);
        Self {
            ready: VecDeque::from([first]),
            news,
            farewell,
            connected: Box::pin(connected(changes, who, origin)),
            watch: Watch::open_ended(context, by),
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

impl http_body::Body for Waiting {
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
            if this.news.is_empty() {
                this.record.finish(this.bytes);
                return Poll::Ready(None);
            }
            if this.connected.as_mut().poll(cx).is_ready() {
                this.ready.extend(this.news.drain(..));
                continue;
            }
            match this.watch.poll(cx) {
                Poll::Ready(Look::Over) => this.news.clear(),
                Poll::Ready(Look::Leaving) => {
                    this.news.clear();
                    this.ready.extend(this.farewell.take());
                }
                Poll::Ready(Look::Quiet) => this.ready.push_back(Bytes::from_static(b": waiting\n\n")),
                Poll::Ready(Look::On) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

async fn connected(mut changes: broadcast::Receiver<ConnectionChange>, who: PrincipalId, origin: Arc<str>) {
    loop {
        match changes.recv().await {
            Ok(change) if change.connected && change.who == who && change.origin_uid == origin => return,
            Ok(_) => {}
            // Something was missed, so it may have been this: saying once too often that lists changed does no harm.
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The end of a subscription, as an event (2026-07-28, basic/patterns/subscriptions, "Graceful Closure").
pub(super) fn complete(id: &Value) -> Bytes {
    let done = json!({"resultType": "complete", "_meta": {SUBSCRIPTION: id}});
    event(&json!({"jsonrpc": "2.0", "id": id, "result": done}))
}

fn event(message: &Value) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}
