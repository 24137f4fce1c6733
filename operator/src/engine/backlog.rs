use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Writes that failed: why, and when each is due again.
#[derive(Default)]
pub(super) struct Backlog(BTreeMap<String, Failure>);

struct Failure {
    problem: String,
    wait: Duration,
    due: Instant,
}

impl Backlog {
    /// Whether this may be tried now.
    pub(super) fn may(&self, what: &str) -> bool {
        self.0.get(what).is_none_or(|failure| failure.due <= Instant::now())
    }

    /// It went well.
    pub(super) fn done(&mut self, what: &str) {
        self.0.remove(what);
    }

    /// It went wrong, once more or for the first time.
    pub(super) fn failed(&mut self, what: &str, problem: &str) {
        let wait = self.0.get(what).map_or(FIRST, |before| (before.wait * 2).min(LONGEST));
        let failure = Failure { problem: problem.to_owned(), wait, due: Instant::now() + wait };
        self.0.insert(what.to_owned(), failure);
    }

    /// Why it is not done yet.
    pub(super) fn problem(&self, what: &str) -> Option<&str> {
        self.0.get(what).map(|failure| failure.problem.as_str())
    }

    /// Whether anything is due.
    pub(super) fn is_due(&self) -> bool {
        let now = Instant::now();
        self.0.values().any(|failure| failure.due <= now)
    }

    /// Forgets what is no longer to be done.
    pub(super) fn forget_all_but(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|what, _| wanted(what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn given_failures_when_they_repeat_then_each_waits_longer_and_holds_up_nothing_else() {
        let mut backlog = Backlog::default();
        assert!(backlog.may("a"));
        backlog.failed("a", "refused");
        assert!(!backlog.may("a") && backlog.may("b") && !backlog.is_due());
        tokio::time::advance(FIRST).await;
        assert!(backlog.may("a") && backlog.is_due());
        backlog.failed("a", "refused");
        tokio::time::advance(FIRST).await;
        assert!(!backlog.may("a"));
        assert_eq!(backlog.problem("a"), Some("refused"));
        backlog.done("a");
        assert!(backlog.may("a") && !backlog.is_due());
    }
}
