//! Recording events, and writing them.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::Event;
use crate::queue::Queue;

/// Records events. Cheap to clone.
#[derive(Clone)]
pub struct EventSink(Arc<Destination>);

enum Destination {
    Queue(Arc<Queue>),
    /// For tests.
    Memory(Arc<Mutex<Vec<Event>>>),
}

impl EventSink {
    /// A sink and the writer that empties it.
    #[must_use]
    pub fn new() -> (Self, EventWriter) {
        let queue = Arc::new(Queue::default());
        (Self(Arc::new(Destination::Queue(Arc::clone(&queue)))), EventWriter(queue))
    }

    /// A sink whose events stay in memory, for tests.
    #[must_use]
    pub fn in_memory() -> (Self, RecordedEvents) {
        let events = Arc::default();
        (Self(Arc::new(Destination::Memory(Arc::clone(&events)))), RecordedEvents(events))
    }

    /// Records an event; never waits.
    pub fn record(&self, event: Event) {
        match &*self.0 {
            Destination::Queue(queue) => queue.record(&event),
            Destination::Memory(events) => events.lock().push(event),
        }
    }

    fn queue(&self) -> Option<&Queue> {
        match &*self.0 {
            Destination::Queue(queue) => Some(queue),
            Destination::Memory(_) => None,
        }
    }

    fn number(&self, of: fn(&Queue) -> &AtomicU64) -> u64 {
        self.queue().map_or(0, |queue| of(queue).load(Ordering::Relaxed))
    }

    /// Number of events queued since the start.
    #[must_use]
    pub fn recorded(&self) -> u64 {
        self.number(|queue| &queue.recorded)
    }

    /// Number of events dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.number(|queue| &queue.dropped)
    }

    /// The part of [`dropped`](Self::dropped) that anonymous clients caused.
    #[must_use]
    pub fn dropped_anonymous(&self) -> u64 {
        self.number(|queue| &queue.dropped_anonymous)
    }

    /// Number of anonymous failures that were counted in a summary instead of getting an event of their own.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.number(|queue| &queue.counted)
    }

    /// Number of bytes that wait to be written.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue().map_or(0, Queue::bytes)
    }

    /// Whether so many events wait to be written that further requests must be refused if each must have its
    /// event. The events of requests in progress still fit.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.queue().is_some_and(Queue::is_overloaded)
    }

    /// Whether the writer has written all events.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue().is_none_or(Queue::is_idle)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Self::Queue(queue) = self {
            queue.close();
        }
    }
}

/// Writes the events of an [`EventSink`].
pub struct EventWriter(Arc<Queue>);

impl EventWriter {
    /// Writes one JSON object per line until every sink is dropped. Blocks: run it on a dedicated thread.
    ///
    /// # Errors
    /// When writing to `out` fails. Further events are then dropped and counted.
    pub fn run(self, mut out: impl Write) -> std::io::Result<()> {
        while let Some(block) = self.0.next_block() {
            if let Err(error) = out.write_all(&block).and_then(|()| out.flush()) {
                self.0.abandon();
                return Err(error);
            }
            self.0.written(block);
        }
        Ok(())
    }
}

/// The events of a sink in memory.
pub struct RecordedEvents(Arc<Mutex<Vec<Event>>>);

impl RecordedEvents {
    /// Removes and returns all events.
    #[must_use]
    pub fn drain(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock())
    }
}
