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
use portcullis_wire::answer::{Streamed, verdict};
use portcullis_wire::sse::{self, Splitter};

use super::answer::{Curate, Curated};
use super::body::BodyError;
use super::record::Record;
use super::watch::{Look, Watch};
use crate::upstream::Lease;

/// Answers up to this size are read for their outcome on the way; a larger one is taken at its status.
const READ_FOR_VERDICT: usize = 64 * 1024;
/// A comment, which clients ignore (HTML, section 9.2.6) and edges do not.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// The body of a relayed answer.
pub(super) struct Relayed {
    incoming: Incoming,
    lease: Option<Lease>,
    record: Record,
    since: Instant,
    bytes: u64,
    over: bool,
    kind: Kind,
}

enum Kind {
    /// JSON, or whatever else the origin answers with.
    Whole(Whole),
    /// Server-sent events.
    Events(Box<Events>),
}

struct Whole {
    limit: u64,
    /// What has passed, while it is little enough to be read again.
    passed: Option<Vec<Bytes>>,
}

struct Events {
    splitter: Splitter,
    curate: Curate,
    watch: Watch,
    ready: VecDeque<Bytes>,
    /// What is said at the end when the process ends first.
    farewell: Option<Bytes>,
}

impl Relayed {
    pub(super) fn whole(incoming: Incoming, lease: Lease, record: Record, limit: u64) -> Self {
        Self::new(incoming, lease, record, Kind::Whole(Whole { limit, passed: Some(Vec::new()) }))
    }

    pub(super) fn events(
        incoming: Incoming,
        lease: Lease,
        record: Record,
        limit: u64,
        curate: Curate,
        watch: Watch,
        farewell: Option<Bytes>,
    ) -> Self {
        let splitter = Splitter::new(usize::try_from(limit).unwrap_or(usize::MAX));
        let events = Events { splitter, curate, watch, ready: VecDeque::new(), farewell };
        Self::new(incoming, lease, record, Kind::Events(Box::new(events)))
    }

    fn new(incoming: Incoming, lease: Lease, record: Record, kind: Kind) -> Self {
        Self { incoming, lease: Some(lease), record, since: Instant::now(), bytes: 0, over: false, kind }
    }

    /// What arrived: bytes that pass at once, or events that wait in the queue.
    fn take_in(&mut self, data: Bytes) -> Result<Option<Bytes>, &'static str> {
        match &mut self.kind {
            Kind::Whole(whole) => {
                let total = self.bytes + data.len() as u64;
                if total > whole.limit {
                    return Err("answer_too_large");
                }
                match &mut whole.passed {
                    Some(passed) if total <= READ_FOR_VERDICT as u64 => passed.push(data.clone()),
                    passed => *passed = None,
                }
                Ok(Some(data))
            }
            Kind::Events(events) => {
                events.watch.heard();
                events.splitter.push(&data);
                while let Some(event) = events.splitter.next_event().map_err(|_| "answer_too_large")? {
                    if let Some(event) = events.curated(event, &mut self.record)? {
                        events.ready.push_back(event);
                    }
                }
                Ok(None)
            }
        }
    }

    fn hand_on(&mut self, data: Bytes) -> Frame<Bytes> {
        self.bytes += data.len() as u64;
        Frame::data(data)
    }

    /// The origin has said all.
    fn end(&mut self) -> Option<Frame<Bytes>> {
        self.over = true;
        let last = match &mut self.kind {
            Kind::Whole(whole) => {
                if let Some(passed) = &whole.passed {
                    match passed.as_slice() {
                        [one] => self.record.verdict(verdict(one)),
                        many => self.record.verdict(verdict(&many.concat())),
                    }
                }
                None
            }
            // An event that was never closed is none (HTML, section 9.2.6).
            Kind::Events(_) => None,
        };
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        self.finish();
        last
    }

    /// The answer cannot go on. The connection to the client is closed, so that half an answer does not look like a whole one.
    fn break_off(&mut self, reason: &'static str) -> BodyError {
        self.over = true;
        self.record.ended(Outcome::UpstreamError, FailureOrigin::Upstream, reason);
        self.finish();
        reason.into()
    }

    /// Whoever listens may not any longer.
    fn cut_off(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.over = true;
        self.record.ended(Outcome::Denied, FailureOrigin::Client, "access_ended");
        self.lease = None;
        self.finish();
        None
    }

    /// The process ends. Nothing is lost: who listens will listen elsewhere.
    fn leave(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let farewell = match &mut self.kind {
            Kind::Events(events) => events.farewell.take(),
            Kind::Whole(_) => None,
        };
        let last = farewell.map(|farewell| Ok(self.hand_on(farewell)));
        self.over = true;
        self.lease = None;
        self.finish();
        last
    }

    fn finish(&mut self) {
        self.record.waited(self.since.elapsed());
        self.record.finish(self.bytes);
    }
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        loop {
            if let Kind::Events(events) = &mut this.kind {
                if let Some(event) = events.ready.pop_front() {
                    return Poll::Ready(Some(Ok(this.hand_on(event))));
                }
                match events.watch.poll(cx) {
                    Poll::Ready(Look::Over) => return Poll::Ready(this.cut_off()),
                    Poll::Ready(Look::Leaving) => return Poll::Ready(this.leave()),
                    Poll::Ready(Look::Quiet) => {
                        return Poll::Ready(Some(Ok(this.hand_on(Bytes::from_static(KEEP_ALIVE)))));
                    }
                    Poll::Ready(Look::On) => continue,
                    Poll::Pending => {}
                }
            }
            match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    match this.take_in(data) {
                        Ok(Some(data)) => return Poll::Ready(Some(Ok(this.hand_on(data)))),
                        Ok(None) => {}
                        Err(reason) => return Poll::Ready(Some(Err(this.break_off(reason)))),
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "an origin broke off its answer");
                    return Poll::Ready(Some(Err(this.break_off("upstream_broke_off"))));
                }
                None => return Poll::Ready(this.end().map(Ok)),
            }
        }
    }
}

impl Drop for Relayed {
    /// The client went away. Where it had its answer, or only listened, that is no loss.
    fn drop(&mut self) {
        if !self.over && self.record.answered() {
            self.finish();
        }
    }
}

impl Events {
    /// The event as the client is to see it; `None` where it is not to.
    fn curated(&self, event: Bytes, record: &mut Record) -> Result<Option<Bytes>, &'static str> {
        let data = sse::data(&event);
        if data.is_empty() {
            drop(data);
            return Ok(Some(event));
        }
        let Ok(message) = Streamed::parse(&data) else {
            tracing::warn!("an event of an origin's stream is not a JSON-RPC message; it is not passed on");
            return Err("answer_unreadable");
        };
        if !message.is_answer() {
            let passes = self.curate.passes(&message);
            drop(data);
            return Ok(passes.then_some(event));
        }
        match self.curate.answer(&data) {
            Ok(Curated { changed, verdict }) => {
                record.verdict(verdict);
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
