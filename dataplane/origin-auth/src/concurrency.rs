//! Whose turn it is, where many come at a time: after a restart, or when tokens that were given together end together. Whoever waits
//! here does not wait for a connection of the store's, which is given up after two seconds.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many look something up at a time. Fewer than the store has connections, so that those who have something to write find one.
const MAX_STORE_READS: usize = 3;

/// How many refresh at one origin at a time. Counted for each, so that a slow authorization server holds up nobody else's.
const MAX_REFRESHES_PER_ORIGIN: usize = 32;

/// What is remembered of an origin at which nobody refreshes.
const SEMAPHORE_IDLE_TTL: Duration = Duration::from_secs(3600);

/// Who waits for what.
pub(crate) struct ConcurrencyLimits {
    store: Semaphore,
    servers: Cache<Arc<str>, Arc<Semaphore>>,
}

impl ConcurrencyLimits {
    pub(crate) fn new() -> Self {
        Self {
            store: Semaphore::new(MAX_STORE_READS),
            servers: Cache::builder().time_to_idle(SEMAPHORE_IDLE_TTL).build(),
        }
    }

    /// Does something with the store when it is its turn.
    pub(crate) async fn with_store_permit<T>(&self, work: impl Future<Output = T>) -> T {
        // It is never closed.
        let _turn = self.store.acquire().await.ok();
        work.await
    }

    /// Waits for the turn to refresh something that was granted for an origin. It ends when what is returned is dropped.
    pub(crate) async fn refresh_permit(&self, origin_uid: &Arc<str>) -> Option<OwnedSemaphorePermit> {
        let turns = self
            .servers
            .get_with(Arc::clone(origin_uid), || Arc::new(Semaphore::new(MAX_REFRESHES_PER_ORIGIN)));
        turns.acquire_owned().await.ok()
    }
}
