//! The bounded event queue and its writer.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::Event;

/// Maximum number of queued events. Further events are dropped and counted, so requests never wait for the
/// audit disk.
const QUEUE_CAPACITY: usize = 65_536;
/// Size, in bytes, at which a batch is written. A smaller batch is written when the queue is empty.
const BATCH_BYTES: usize = 64 * 1024;
/// How long the first event of a batch waits for others. While the writer sleeps, recording an event does not
/// wake it. Waking it would cost a request more than recording the event.
const BATCH_DELAY: Duration = Duration::from_millis(5);

/// Records events. Cheap to clone.
#[derive(Clone)]
pub struct EventSink {
    queue: SyncSender<Event>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    recorded: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
}

impl EventSink {
    /// A sink and the writer that empties it.
    #[must_use]
    pub fn new() -> (Self, EventWriter) {
        let (queue, events) = sync_channel(QUEUE_CAPACITY);
        let counts = Arc::new(Counts::default());
        (Self { queue, counts: Arc::clone(&counts) }, EventWriter { events, counts })
    }

    /// Records an event; never waits.
    pub fn record(&self, event: Event) {
        match self.queue.try_send(event) {
            Ok(()) => self.counts.recorded.fetch_add(1, Ordering::Relaxed),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed)
            }
        };
    }

    /// Number of events queued since the start.
    #[must_use]
    pub fn recorded(&self) -> u64 {
        self.counts.recorded.load(Ordering::Relaxed)
    }

    /// Whether the writer has written all queued events.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.counts.written.load(Ordering::Relaxed) >= self.recorded()
    }

    /// Number of events dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

/// Writes the events of an [`EventSink`].
pub struct EventWriter {
    events: Receiver<Event>,
    counts: Arc<Counts>,
}

impl EventWriter {
    /// Writes one JSON object per line until every sink is dropped. Blocks: run it on a dedicated thread.
    ///
    /// # Errors
    /// When writing to `out` fails.
    pub fn run(self, mut out: impl Write) -> std::io::Result<()> {
        let mut batch = Vec::with_capacity(BATCH_BYTES + 4096);
        while let Ok(first) = self.events.recv() {
            append(&mut batch, &first);
            std::thread::sleep(BATCH_DELAY);
            let mut written = 1;
            while batch.len() < BATCH_BYTES
                && let Ok(next) = self.events.try_recv()
            {
                append(&mut batch, &next);
                written += 1;
            }
            out.write_all(&batch)?;
            out.flush()?;
            self.counts.written.fetch_add(written, Ordering::Relaxed);
            batch.clear();
        }
        Ok(())
    }

    /// Removes and returns all queued events without writing them. For tests.
    #[must_use]
    pub fn drain(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }
}

fn append(batch: &mut Vec<u8>, event: &Event) {
    let start = batch.len();
    match serde_json::to_writer(&mut *batch, event) {
        Ok(()) => batch.push(b'\n'),
        Err(error) => {
            batch.truncate(start);
            tracing::error!(%error, "failed to serialize an event");
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_clock::UnixMillis;

    use super::*;
    use crate::{EventKind, Outcome};

    #[test]
    fn given_recorded_events_when_the_sinks_are_gone_then_the_writer_has_written_a_line_for_each() {
        let (sink, writer) = EventSink::new();
        for _ in 0..3 {
            sink.record(Event::new(UnixMillis(1_700_000_000_123), EventKind::McpRequest, Outcome::Success));
        }
        drop(sink);
        let mut out = Vec::new();
        writer.run(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert_eq!(
            text.lines().next().unwrap(),
            r#"{"time":"2023-11-14T22:13:20.123Z","event":"mcp.request","outcome":"success"}"#
        );
    }

    #[test]
    fn given_a_full_queue_when_recording_then_the_event_is_counted_as_dropped() {
        let (sink, _writer) = EventSink::new();
        for _ in 0..=QUEUE_CAPACITY {
            sink.record(Event::new(UnixMillis(0), EventKind::McpRequest, Outcome::Success));
        }
        assert_eq!(sink.dropped(), 1);
    }
}
