//! Limits on concurrent refreshes and store reads, for bursts after a restart or when many tokens expire
//! together. Tasks wait here instead of in the store's connection pool, which gives up after two seconds.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of concurrent reads. Fewer than the store's connections, so writes can still get one.
const MAX_STORE_READS: usize = 3;

/// Maximum number of concurrent refreshes per origin. Counted per origin, so a slow authorization server
/// delays no other origin.
const MAX_REFRESHES_PER_ORIGIN: usize = 32;

/// How long the semaphore of an idle origin is kept.
const SEMAPHORE_IDLE_TTL: Duration = Duration::from_secs(3600);

/// Semaphores for store reads and refreshes.
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

    /// Runs store work when a permit is available.
    pub(crate) async fn with_store_permit<T>(&self, work: impl Future<Output = T>) -> T {
        // The semaphore is never closed.
        let _turn = self.store.acquire().await.ok();
        work.await
    }

    /// Waits for a permit to refresh a token of this origin. The permit ends when it is dropped.
    pub(crate) async fn refresh_permit(&self, origin_uid: &Arc<str>) -> Option<OwnedSemaphorePermit> {
        let turns = self
            .servers
            .get_with(Arc::clone(origin_uid), || Arc::new(Semaphore::new(MAX_REFRESHES_PER_ORIGIN)));
        turns.acquire_owned().await.ok()
    }
}
