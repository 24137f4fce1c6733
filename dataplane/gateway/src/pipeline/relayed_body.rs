//! An origin's answer on its way through. What need not change passes as it came; events of a stream are cut, so that each can
//! be looked at and none can grow without end.

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

use super::audit_record::AuditRecord;
use super::body::BodyError;
use super::curate::{Curated, Curator};
use super::stream_guard::{StreamGuard, StreamStatus};
use crate::upstream::ConnectionLease;

/// Answers up to this size are read for their outcome on the way; a larger one is taken at its status.
const MAX_VERDICT_BYTES: usize = 64 * 1024;
/// A comment, which clients ignore (HTML, section 9.2.6) and edges do not.
const KEEP_ALIVE_COMMENT: &[u8] = b": keep-alive\n\n";

/// The body of a relayed answer.
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
    /// JSON, or whatever else the origin answers with.
    Whole(Whole),
    /// Server-sent events.
    Events(Box<Events>),
}

struct Whole {
    limit: u64,
    /// What has passed, while it is little enough to be read again.
    buffered: Option<Vec<Bytes>>,
}

struct Events {
    splitter: Splitter,
    curate: Curator,
    watch: StreamGuard,
    ready: VecDeque<Bytes>,
    /// What is said at the end when the process ends first.
    closing_event: Option<Bytes>,
}

impl RelayedBody {
    pub(super) fn whole(incoming: Incoming, lease: ConnectionLease, record: AuditRecord, limit: u64) -> Self {
        Self::new(incoming, lease, record, BodyKind::Whole(Whole { limit, buffered: Some(Vec::new()) }))
    }

    pub(super) fn events(
        incoming: Incoming,
        lease: ConnectionLease,
        record: AuditRecord,
        limit: u64,
        curate: Curator,
        watch: StreamGuard,
        farewell: Option<Bytes>,
    ) -> Self {
        let splitter = Splitter::new(usize::try_from(limit).unwrap_or(usize::MAX));
        let events = Events { splitter, curate, watch, ready: VecDeque::new(), closing_event: farewell };
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

    /// What arrived: bytes that pass at once, or events that wait in the queue.
    fn on_data(&mut self, data: Bytes) -> Result<Option<Bytes>, &'static str> {
        match &mut self.kind {
            BodyKind::Whole(whole) => {
                let total = self.bytes + data.len() as u64;
                if total > whole.limit {
                    return Err("answer_too_large");
                }
                match &mut whole.buffered {
                    Some(passed) if total <= MAX_VERDICT_BYTES as u64 => passed.push(data.clone()),
                    passed => *passed = None,
                }
                Ok(Some(data))
            }
            BodyKind::Events(events) => {
                events.watch.reset_idle();
                events.splitter.push(&data);
                while let Some(event) = events.splitter.next_event().map_err(|_| "answer_too_large")? {
                    if let Some(event) = events.curate_event(event, &mut self.record)? {
                        events.ready.push_back(event);
                    }
                }
                Ok(None)
            }
        }
    }

    fn emit(&mut self, data: Bytes) -> Frame<Bytes> {
        self.bytes += data.len() as u64;
        Frame::data(data)
    }

    /// The origin has said all.
    fn on_end(&mut self) -> Option<Frame<Bytes>> {
        self.finished = true;
        let last = match &mut self.kind {
            BodyKind::Whole(whole) => {
                if let Some(passed) = &whole.buffered {
                    match passed.as_slice() {
                        [one] => self.record.response_outcome(response_outcome(one)),
                        many => self.record.response_outcome(response_outcome(&many.concat())),
                    }
                }
                None
            }
            // An event that was never closed is none (HTML, section 9.2.6).
            BodyKind::Events(_) => None,
        };
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
        self.finish();
        last
    }

    /// The answer cannot go on. The connection to the client is closed, so that half an answer does not look like a whole one.
    fn abort(&mut self, reason: &'static str) -> BodyError {
        self.finished = true;
        self.record.set_outcome(Outcome::UpstreamError, FailureOrigin::Upstream, reason);
        self.finish();
        reason.into()
    }

    /// Whoever listens may not any longer.
    fn on_access_ended(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.finished = true;
        self.record.set_outcome(Outcome::Denied, FailureOrigin::Client, "access_ended");
        self.lease = None;
        self.finish();
        None
    }

    /// The process ends. Nothing is lost: who listens will listen elsewhere.
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
                        Ok(Some(data)) => return Poll::Ready(Some(Ok(this.emit(data)))),
                        Ok(None) => {}
                        Err(reason) => return Poll::Ready(Some(Err(this.abort(reason)))),
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "an origin broke off its answer");
                    return Poll::Ready(Some(Err(this.abort("upstream_broke_off"))));
                }
                None => return Poll::Ready(this.on_end().map(Ok)),
            }
        }
    }
}

impl Drop for RelayedBody {
    /// The client went away. Where it had its answer, or only listened, that is no loss.
    fn drop(&mut self) {
        if !self.finished && self.record.is_answered() {
            self.finish();
        }
    }
}

impl Events {
    /// The event as the client is to see it; `None` where it is not to.
    fn curate_event(&self, event: Bytes, record: &mut AuditRecord) -> Result<Option<Bytes>, &'static str> {
        let data = sse::data(&event);
        if data.is_empty() {
            drop(data);
            return Ok(Some(event));
        }
        let Ok(message) = StreamMessage::parse(&data) else {
            tracing::warn!("an event of an origin's stream is not a JSON-RPC message; it is not passed on");
            return Err("answer_unreadable");
        };
        if !message.is_response() {
            let passes = self.curate.allows_notification(&message);
            drop(data);
            return Ok(passes.then_some(event));
        }
        match self.curate.curate_response(&data) {
            Ok(Curated { changed, verdict }) => {
                record.response_outcome(verdict);
                let changed = changed.map(|changed| sse::with_data(&event, &changed));
                drop(data);
                Ok(Some(changed.unwrap_or(event)))
            }
            Err(error) => {
                tracing::warn!(%error, "an origin's list cannot be curated");
                Err("answer_unreadable")
            }
        }
    }
}
