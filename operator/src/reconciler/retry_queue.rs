//! Failed writes and their backoff.

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

const INITIAL_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(30);
const BACKOFF: ExponentialBuilder =
    ExponentialBuilder::new().with_min_delay(INITIAL_DELAY).with_max_delay(MAX_DELAY).without_max_times();

/// Failed writes by key, each with its last error and the time of its next attempt.
#[derive(Default)]
pub(super) struct RetryQueue(BTreeMap<String, Failure>);

struct Failure {
    problem: String,
    backoff: ExponentialBackoff,
    due: Instant,
}

impl RetryQueue {
    /// Whether the write may be attempted now.
    pub(super) fn can_try(&self, what: &str) -> bool {
        self.0.get(what).is_none_or(|failure| failure.due <= Instant::now())
    }

    /// Removes the write from the queue.
    pub(super) fn succeeded(&mut self, what: &str) {
        self.0.remove(what);
    }

    /// Records a failure. Repeated failures double the delay.
    pub(super) fn failed(&mut self, what: &str, problem: &str) {
        let before = self.0.remove(what);
        let mut backoff = before.map_or_else(|| BACKOFF.build(), |failure| failure.backoff);
        let due = Instant::now() + backoff.next().unwrap_or(MAX_DELAY);
        let failure = Failure { problem: problem.to_owned(), backoff, due };
        self.0.insert(what.to_owned(), failure);
    }

    /// The error of the last attempt; `None` if it succeeded.
    pub(super) fn last_error(&self, what: &str) -> Option<&str> {
        self.0.get(what).map(|failure| failure.problem.as_str())
    }

    /// Whether a retry is due.
    pub(super) fn has_due(&self) -> bool {
        let now = Instant::now();
        self.0.values().any(|failure| failure.due <= now)
    }

    /// Removes writes that are no longer wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|what, _| wanted(what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn given_failures_when_they_repeat_then_each_waits_longer_and_holds_up_nothing_else() {
        let mut retry_queue = RetryQueue::default();
        assert!(retry_queue.can_try("a"));
        retry_queue.failed("a", "refused");
        assert!(!retry_queue.can_try("a") && retry_queue.can_try("b") && !retry_queue.has_due());
        tokio::time::advance(INITIAL_DELAY).await;
        assert!(retry_queue.can_try("a") && retry_queue.has_due());
        retry_queue.failed("a", "refused");
        tokio::time::advance(INITIAL_DELAY).await;
        assert!(!retry_queue.can_try("a"));
        assert_eq!(retry_queue.last_error("a"), Some("refused"));
        retry_queue.succeeded("a");
        assert!(retry_queue.can_try("a") && !retry_queue.has_due());
    }
}
