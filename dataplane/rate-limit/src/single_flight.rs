//! Concurrent callers that need the same thing share one attempt and its result.

use std::collections::HashMap;
use std::hash::Hash;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

/// Finished attempts are removed from the map when it has more entries than this.
const SWEEP_LEN: usize = 64;

/// Attempts in progress, by key. An attempt continues while at least one caller waits for it.
pub struct SingleFlight<K, T: Clone> {
    running: Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>,
}

impl<K: Eq + Hash, T: Clone> SingleFlight<K, T> {
    /// Nothing is in progress.
    #[must_use]
    pub fn new() -> Self {
        Self { running: Mutex::default() }
    }

    /// Joins the attempt in progress for a key, or starts one.
    pub async fn run(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, T>) -> T {
        self.join(key, start).await
    }

    fn join(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, T>) -> Shared<BoxFuture<'static, T>> {
        let mut running = self.running.lock();
        let joined = running.get(&key).and_then(WeakShared::upgrade);
        if let Some(joined) = joined.filter(|attempt| attempt.peek().is_none()) {
            return joined;
        }
        if running.len() >= SWEEP_LEN {
            running.retain(|_, attempt| attempt.upgrade().is_some());
        }
        let attempt = start().shared();
        if let Some(weak) = attempt.downgrade() {
            running.insert(key, weak);
        }
        attempt
    }
}

impl<K: Eq + Hash, T: Clone> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn counting(count: &Arc<AtomicUsize>) -> BoxFuture<'static, usize> {
        let count = Arc::clone(count);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            count.fetch_add(1, Ordering::SeqCst)
        }
        .boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn given_callers_at_once_then_they_share_one_attempt_and_later_ones_start_another() {
        let (flight, count) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        let run = |key: &'static str| flight.run(key, || counting(&count));
        assert_eq!(tokio::join!(run("a"), run("a"), run("a")), (0, 0, 0));
        assert_eq!(run("a").await, 1);
        let (one, other) = tokio::join!(run("a"), run("b"));
        assert_ne!(one, other);
    }

    #[tokio::test(start_paused = true)]
    async fn given_an_attempt_when_its_first_caller_leaves_then_the_others_still_get_the_result() {
        let (flight, count) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        let run = || flight.run("a", || counting(&count));
        let leaving = async {
            tokio::time::timeout(Duration::from_millis(1), run()).await.unwrap_err();
        };
        assert_eq!(tokio::join!(leaving, run()).1, 0);
        tokio::time::timeout(Duration::from_millis(1), run()).await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(count.load(Ordering::SeqCst), 1, "nobody waits for it, so it does not run");
    }

    #[tokio::test(start_paused = true)]
    async fn given_many_keys_then_the_map_stays_small() {
        let (flight, count) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        for key in 0..1_000 {
            flight.run(key, || counting(&count)).await;
        }
        assert!(flight.running.lock().len() <= SWEEP_LEN);
    }
}
