//! The event queue: lines in blocks, bounded in bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::Event;
use crate::class::{EventClass, is_anonymous_failure};
use crate::failure_summary::FailureSummary;

/// Size, in bytes, at which a block is complete. A complete block is written at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// How long an incomplete block waits for more events. While the writer sleeps, recording an event does not wake
/// it. Waking it would cost a request more than recording the event.
const BLOCK_DELAY: Duration = Duration::from_millis(5);
/// How long counted failures wait for more of their kind.
const SUMMARY_DELAY: Duration = Duration::from_secs(1);
/// Minimum time between log lines about dropped events.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Number of queued bytes above which the queue is overloaded. Half of the capacity for requests is then left,
/// for the requests that are in progress.
const OVERLOAD_BYTES: usize = EventClass::Request.limit() / 2;

/// The queue between sinks and a writer.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    /// Bytes of the events that are not written yet.
    bytes: AtomicUsize,
    /// The writer has failed.
    abandoned: AtomicBool,
    pub(crate) recorded: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) dropped_anonymous: AtomicU64,
    pub(crate) counted: AtomicU64,
}

#[derive(Default)]
struct State {
    blocks: VecDeque<Vec<u8>>,
    /// A written block, for reuse.
    spare: Option<Vec<u8>>,
    failures: FailureSummary,
    /// When the counted failures are written at the latest.
    summaries_due: Option<Instant>,
    /// The writer waits and must be woken.
    writer_waits: bool,
    /// All sinks are gone.
    closed: bool,
    /// Number of dropped events that the log mentions, and when it last did.
    logged: (u64, Option<Instant>),
}

impl Queue {
    /// Adds an event; never waits. If it does not fit, it is dropped and counted.
    pub(crate) fn record(&self, event: &Event) {
        let class = EventClass::of(event);
        if is_anonymous_failure(event, class) && !self.admit_failure(event) {
            self.counted.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Avoids the work of writing an event that will not fit.
        if self.bytes() >= class.limit() {
            return self.count_dropped(class);
        }
        let Some(line) = line(event) else { return };
        let mut state = self.state.lock();
        let fits = self.push(&mut state, line, class);
        self.wake_writer(state);
        if !fits {
            self.count_dropped(class);
        }
    }

    /// Whether an anonymous failure gets an event of its own.
    fn admit_failure(&self, event: &Event) -> bool {
        let mut state = self.state.lock();
        if state.failures.begin_second(event.time) {
            self.push_summaries(&mut state);
        }
        let admitted = state.failures.admit(event);
        if !admitted && state.summaries_due.is_none() {
            state.summaries_due = Some(Instant::now() + SUMMARY_DELAY);
        }
        self.wake_writer(state);
        admitted
    }

    /// Queues the summaries of counted failures. They are few and stand for many events, so they may use the
    /// whole capacity.
    fn push_summaries(&self, state: &mut State) {
        state.summaries_due = None;
        for summary in state.failures.take() {
            if let Some(line) = line(&summary)
                && !self.push(state, line, EventClass::Administration)
            {
                self.count_dropped(EventClass::Anonymous);
            }
        }
    }

    fn push(&self, state: &mut State, line: Vec<u8>, class: EventClass) -> bool {
        if self.abandoned.load(Ordering::Relaxed)
            || self.bytes.load(Ordering::Relaxed) + line.len() > class.limit()
        {
            return false;
        }
        self.bytes.fetch_add(line.len(), Ordering::Relaxed);
        self.recorded.fetch_add(1, Ordering::Relaxed);
        match state.blocks.back_mut() {
            Some(block) if block.len() + line.len() <= BLOCK_BYTES => block.extend_from_slice(&line),
            _ => {
                let mut block = state.spare.take().unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES));
                block.extend_from_slice(&line);
                state.blocks.push_back(block);
            }
        }
        true
    }

    fn wake_writer(&self, mut state: MutexGuard<'_, State>) {
        let waits = std::mem::take(&mut state.writer_waits);
        drop(state);
        if waits {
            self.filled.notify_one();
        }
    }

    fn count_dropped(&self, class: EventClass) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        if class == EventClass::Anonymous {
            self.dropped_anonymous.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The next block to write. Waits for one. `None` if all sinks are gone and everything is written.
    pub(crate) fn next_block(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        loop {
            if state.summaries_due.is_some_and(|due| state.closed || due <= Instant::now()) {
                self.push_summaries(&mut state);
            }
            if state.blocks.len() > 1 || (state.closed && !state.blocks.is_empty()) {
                return state.blocks.pop_front();
            }
            if !state.blocks.is_empty() {
                MutexGuard::unlocked(&mut state, || std::thread::sleep(BLOCK_DELAY));
                return state.blocks.pop_front();
            }
            if state.closed {
                return None;
            }
            state.writer_waits = true;
            match state.summaries_due {
                Some(due) => {
                    self.filled.wait_until(&mut state, due);
                }
                None => self.filled.wait(&mut state),
            }
            state.writer_waits = false;
        }
    }

    /// Takes back a block that was written.
    pub(crate) fn written(&self, mut block: Vec<u8>) {
        self.bytes.fetch_sub(block.len(), Ordering::Relaxed);
        block.clear();
        let mut state = self.state.lock();
        state.spare = Some(block);
        let (logged, when) = state.logged;
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > logged && when.is_none_or(|when| when.elapsed() > LOG_INTERVAL) {
            state.logged = (dropped, Some(Instant::now()));
            drop(state);
            // Only the writer logs it: standard error is often read by the same slow reader, and requests must not
            // wait for it.
            tracing::error!(
                events = dropped - logged,
                "events were dropped: the reader of standard output is too slow"
            );
        }
    }

    /// Drops all further events, because the writer has failed.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// No more events will come.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Number of bytes that are not written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_overloaded(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.bytes() > OVERLOAD_BYTES
    }

    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        self.abandoned.load(Ordering::Relaxed) || (state.summaries_due.is_none() && self.bytes() == 0)
    }
}

/// The event as a line of JSON.
fn line(event: &Event) -> Option<Vec<u8>> {
    let mut line = Vec::with_capacity(1024);
    match serde_json::to_writer(&mut line, event) {
        Ok(()) => {
            line.push(b'\n');
            Some(line)
        }
        Err(error) => {
            tracing::error!(%error, "failed to serialize an event");
            None
        }
    }
}
