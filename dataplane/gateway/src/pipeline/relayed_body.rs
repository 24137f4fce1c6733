//! Body of a relayed response. JSON is streamed unchanged. Event streams are split into events, which are
//! curated and limited in size one by one.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::Frame;
use hyper::body::Incoming;
use portcullis_events::{FailureOrigin, Outcome};
use portcullis_mcp::response::{StreamMessage, response_outcome};
use portcullis_mcp::sse::{self, Splitter};
use serde_json::value::RawValue;

use super::audit_record::AuditRecord;
use super::body::BodyError;
use super::curate::{Curated, CurationError, Curator};
use super::stream_guard::{StreamGuard, StreamStatus};
use crate::limits::MemoryLease;
use crate::upstream::ConnectionLease;

/// Maximum size of a response whose body is parsed for its outcome. The outcome of a larger one is its HTTP
/// status.
const MAX_VERDICT_BYTES: u64 = 64 * 1024;
/// Reason of a stream that ends because the gateway has no memory for its next event.
const NO_MEMORY: &str = "overloaded";
/// An incomplete event up to this size is not counted: most events are small.
const MAX_UNCOUNTED_BYTES: usize = 32 * 1024;
/// A comment: clients ignore it (HTML, section 9.2.6), and it keeps the stream open at proxies.
const KEEP_ALIVE_COMMENT: &[u8] = b": keep-alive\n\n";

/// The body of a relayed response.
pub(super) struct RelayedBody {
    incoming: Incoming,
    lease: Option<ConnectionLease>,
    record: AuditRecord,
    started_at: Instant,
    bytes: u64,
    finished: bool,
    kind: BodyKind,
}

enum BodyKind {
    /// JSON, or another media type.
    Whole(Whole),
    /// Server-sent events.
    Events(Box<Events>),
}

struct Whole {
    limit: u64,
    received: u64,
    /// The data, while it is small enough to be parsed for the outcome.
    buffered: Option<Vec<Bytes>>,
    /// The data is held back while it is buffered.
    hold: Option<Hold>,
}

/// Curates a response before its first byte is relayed, unless it is too large.
pub(super) struct Hold {
    curate: Curator,
    id: Option<Box<RawValue>>,
    /// Maximum size of a response that is held back.
    bytes: u64,
    memory: MemoryLease,
}

impl Hold {
    /// `None` if the response needs no check.
    pub(super) fn new(
        curate: Curator,
        id: Option<&RawValue>,
        limit: u64,
        memory: MemoryLease,
    ) -> Option<Self> {
        let bytes = curate.bytes_to_hold(limit);
        (bytes > 0).then(|| Self { curate, id: id.map(ToOwned::to_owned), bytes, memory })
    }

    /// Whether a response of this length, if it is known, can be held back as a whole.
    pub(super) fn fits(&self, length: Option<u64>) -> bool {
        length.is_none_or(|length| length <= self.bytes)
    }
}

struct Events {
    splitter: Splitter,
    curate: Curator,
    watch: StreamGuard,
    ready: VecDeque<Bytes>,
    /// Counts the bytes of an incomplete event.
    memory: MemoryLease,
    /// Event to send if the process shuts down first.
    closing_event: Option<Bytes>,
}

impl RelayedBody {
    pub(super) fn whole(
        incoming: Incoming,
        lease: ConnectionLease,
        record: AuditRecord,
        limit: u64,
        hold: Option<Hold>,
    ) -> Self {
        let whole = Whole { limit, received: 0, buffered: Some(Vec::new()), hold };
        Self::new(incoming, lease, record, BodyKind::Whole(whole))
    }

    pub(super) fn events(
        incoming: Incoming,
        (lease, memory): (ConnectionLease, MemoryLease),
        record: AuditRecord,
        limit: u64,
        curate: Curator,
        watch: StreamGuard,
        farewell: Option<Bytes>,
    ) -> Self {
        let splitter = Splitter::new(usize::try_from(limit).unwrap_or(usize::MAX));
        let ready = VecDeque::new();
        let events = Events { splitter, curate, watch, ready, memory, closing_event: farewell };
        Self::new(incoming, lease, record, BodyKind::Events(Box::new(events)))
    }

    fn new(incoming: Incoming, lease: ConnectionLease, record: AuditRecord, kind: BodyKind) -> Self {
        Self {
            incoming,
            lease: Some(lease),
            record,
            started_at: Instant::now(),
            bytes: 0,
            finished: false,
            kind,
        }
    }

    /// Handles data from the origin. Returns bytes to send at once, or adds events to the queue.
    fn on_data(&mut self, data: Bytes) -> Result<Option<Bytes>, &'static str> {
        match &mut self.kind {
            BodyKind::Whole(whole) => whole.on_data(data),
            BodyKind::Events(events) => {
                events.watch.reset_idle();
                events.splitter.push(&data);
                while let Some(event) = events.splitter.next_event().map_err(|_| "answer_too_large")? {
                    if let Some(event) = events.curate_event(event, &mut self.record)? {
                        events.ready.push_back(event);
                    }
                }
                let incomplete = events.splitter.buffered();
                let counted = if incomplete > MAX_UNCOUNTED_BYTES { incomplete } else { 0 };
                events.memory.set(counted).map_err(|_| NO_MEMORY)?;
                Ok(None)
            }
        }
    }

    fn emit(&mut self, data: Bytes) -> Frame<Bytes> {
        self.bytes += data.len() as u64;
        Frame::data(data)
    }

    /// Handles the end of the origin's response.
    fn on_end(&mut self) -> Option<Frame<Bytes>> {
        self.finished = true;
        let last = match &mut self.kind {
            BodyKind::Whole(whole) => whole.on_end(&mut self.record),
            // An incomplete event is discarded (HTML, section 9.2.6).
            BodyKind::Events(_) => None,
        };
        let last = last.map(|last| self.emit(last));
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
        self.finish();
        last
    }

    /// Aborts the response. The connection to the client is closed, so a partial response does not look
    /// complete.
    fn abort(&mut self, reason: &'static str) -> BodyError {
        self.finished = true;
        let (outcome, failure) = match reason {
            NO_MEMORY => (Outcome::GatewayError, FailureOrigin::Gateway),
            _ => (Outcome::UpstreamError, FailureOrigin::Upstream),
        };
        self.record.set_outcome(outcome, failure, reason);
        self.finish();
        reason.into()
    }

    /// Ends the stream because its user lost access.
    fn on_access_ended(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.finished = true;
        self.record.set_outcome(Outcome::Denied, FailureOrigin::Client, "access_ended");
        self.lease = None;
        self.finish();
        None
    }

    /// Ends the stream because the process shuts down. The client reconnects to another replica.
    fn on_shutdown(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let farewell = match &mut self.kind {
            BodyKind::Events(events) => events.closing_event.take(),
            BodyKind::Whole(_) => None,
        };
        let last = farewell.map(|farewell| Ok(self.emit(farewell)));
        self.finished = true;
        self.lease = None;
        self.finish();
        last
    }

    fn finish(&mut self) {
        self.record.add_upstream_time(self.started_at.elapsed());
        self.record.finish(self.bytes);
    }
}

impl http_body::Body for RelayedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.finished {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        loop {
            if let BodyKind::Events(events) = &mut this.kind {
                if let Some(event) = events.ready.pop_front() {
                    return Poll::Ready(Some(Ok(this.emit(event))));
                }
                match events.watch.poll(cx) {
                    Poll::Ready(StreamStatus::AccessEnded) => return Poll::Ready(this.on_access_ended()),
                    Poll::Ready(StreamStatus::ShuttingDown) => return Poll::Ready(this.on_shutdown()),
                    Poll::Ready(StreamStatus::SendKeepAlive) => {
                        return Poll::Ready(Some(Ok(this.emit(Bytes::from_static(KEEP_ALIVE_COMMENT)))));
                    }
                    Poll::Ready(StreamStatus::Continue) => continue,
                    Poll::Pending => {}
                }
            }
            match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    match this.on_data(data) {
                        Ok(Some(data)) => {
                            let frame = this.emit(data);
                            // After the last byte of an announced length hyper does not poll again.
                            if this.incoming.is_end_stream() {
                                let last = this.on_end();
                                debug_assert!(last.is_none(), "all data was emitted");
                            }
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        Ok(None) => {}
                        Err(reason) => return Poll::Ready(Some(Err(this.abort(reason)))),
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "origin response was interrupted");
                    return Poll::Ready(Some(Err(this.abort("upstream_broke_off"))));
                }
                None => return Poll::Ready(this.on_end().map(Ok)),
            }
        }
    }
}

impl Drop for RelayedBody {
    /// Handles a disconnect by the client. It is no error if the client has received its response or the
    /// stream is open-ended.
    fn drop(&mut self) {
        if !self.finished && self.record.is_answered() {
            self.finish();
        }
    }
}

impl Whole {
    /// Returns the data to send at once.
    fn on_data(&mut self, data: Bytes) -> Result<Option<Bytes>, &'static str> {
        self.received += data.len() as u64;
        if self.received > self.limit {
            return Err("answer_too_large");
        }
        let most = self.hold.as_ref().map_or(MAX_VERDICT_BYTES, |hold| hold.bytes);
        match &mut self.buffered {
            Some(buffered) if self.received <= most => {
                if let Some(hold) = &mut self.hold {
                    hold.memory.grow(data.len()).map_err(|_| NO_MEMORY)?;
                }
                buffered.push(data.clone());
                Ok(self.hold.is_none().then_some(data))
            }
            buffered => {
                let held = buffered.take().filter(|_| self.hold.take().is_some());
                Ok(Some(held.map_or(data.clone(), |mut held| {
                    held.push(data);
                    held.concat().into()
                })))
            }
        }
    }

    /// Records the outcome. Returns the data that was held back, or the error that replaces it.
    fn on_end(&mut self, record: &mut AuditRecord) -> Option<Bytes> {
        let buffered = self.buffered.take()?;
        let message: Bytes = match buffered.as_slice() {
            [one] => one.clone(),
            many => many.concat().into(),
        };
        let Some(Hold { curate, id, .. }) = self.hold.take() else {
            record.response_outcome(response_outcome(&message));
            return None;
        };
        match curate.curate_response(&message) {
            Ok(Curated { changed, verdict }) => {
                record.response_outcome(verdict);
                Some(changed.map_or(message, Bytes::from))
            }
            Err(error) => {
                Some(error.for_client(id.as_deref(), curate.origin_name()).in_relayed_response(record).into())
            }
        }
    }
}

impl Events {
    /// Returns the event for the client; `None` if it must not be relayed.
    fn curate_event(&self, event: Bytes, record: &mut AuditRecord) -> Result<Option<Bytes>, &'static str> {
        let data = sse::data(&event);
        if data.is_empty() {
            drop(data);
            return Ok(Some(event));
        }
        let Ok(message) = StreamMessage::parse(&data) else {
            tracing::warn!("origin stream event is not a JSON-RPC message; closing the stream");
            return Err("answer_unreadable");
        };
        let curated = if message.is_response() {
            self.curate.curate_event(message.id, &data)
        } else if self.curate.allows_notification(&message) {
            self.curate.mark_elicitations(&data).map(Curated::not_a_response)
        } else {
            return Ok(None);
        };
        match curated {
            Ok(Curated { changed, verdict }) => {
                record.response_outcome(verdict);
                let changed = changed.map(|changed| sse::with_data(&event, &changed));
                drop(data);
                Ok(Some(changed.unwrap_or(event)))
            }
            Err(error @ CurationError::UnsolicitedTask) => {
                let error = error.for_client(message.id, self.curate.origin_name());
                let changed = sse::with_data(&event, &error.in_relayed_response(record));
                Ok(Some(changed))
            }
            Err(error) => {
                tracing::warn!(%error, "origin message is invalid");
                Err("answer_unreadable")
            }
        }
    }
}
