//! Counts failures of anonymous clients above a fixed rate into one event per second and reason.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use portcullis_clock::UnixMillis;

use crate::{Event, EventKind, Outcome};

/// Number of anonymous failures per second that get an event of their own.
pub(crate) const MAX_PER_SECOND: u32 = 100;

/// What failures have in common that are counted together. The number of keys is bounded, because reasons are
/// constants.
type Key = (EventKind, Outcome, Option<&'static str>);

/// The anonymous failures of the current second.
#[derive(Default)]
pub(crate) struct FailureSummary {
    second: i64,
    recorded: u32,
    counted: HashMap<Key, Event>,
}

impl FailureSummary {
    /// Whether a failure gets an event of its own. Otherwise it is counted.
    pub(crate) fn admit(&mut self, event: &Event) -> bool {
        self.recorded += 1;
        if self.recorded <= MAX_PER_SECOND {
            return true;
        }
        match self.counted.entry((event.event, event.outcome, event.reason)) {
            Entry::Occupied(mut summary) => {
                let summary = summary.get_mut();
                summary.count = summary.count.map(|count| count + 1);
                summary.time = event.time;
            }
            Entry::Vacant(vacant) => {
                vacant.insert(summary(event));
            }
        }
        false
    }

    /// Begins another second if `now` is in one, and returns whether it does. Then the next failures get events
    /// of their own again.
    pub(crate) fn begin_second(&mut self, now: UnixMillis) -> bool {
        let second = now.seconds();
        if second == self.second {
            return false;
        }
        (self.second, self.recorded) = (second, 0);
        true
    }

    /// Removes and returns the summaries.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        self.counted.drain().map(|(_, summary)| summary).collect()
    }
}

/// A summary of one failure.
fn summary(event: &Event) -> Event {
    let mut summary = Event::new(event.time, event.event, event.outcome);
    summary.client_address = None;
    summary.count = Some(1);
    summary.gateway.clone_from(&event.gateway);
    summary.failure_origin = event.failure_origin;
    summary.reason = event.reason;
    summary
}
