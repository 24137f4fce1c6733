//! Reads the change log periodically.

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::Clock;
use portcullis_logging::LoggedState;
use portcullis_policy::RouteTableHandle;
use portcullis_store::{Store, StoreError};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::prune::ExpiredRows;
use crate::revocation_feed::RevocationFeed;
use crate::{InternalError, Principals};

/// How often the log is read. A revocation at another replica takes effect here after at most this time plus
/// the time of one read.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// Deadline of one read.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of reads between two deletions of expired rows.
const READS_PER_PRUNE: u64 = 600;

/// The change log was not read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Failed(#[from] InternalError),
    #[error("the store did not respond within {} s", READ_TIMEOUT.as_secs())]
    Timeout(#[from] tokio::time::error::Elapsed),
}

/// Copies the change log from the store to the feed in memory.
pub struct FeedReader {
    store: Store,
    clock: Clock,
    feed: Arc<RevocationFeed>,
    principals: Arc<Principals>,
    expired_rows: Arc<ExpiredRows>,
}

impl FeedReader {
    pub(crate) fn new(
        tables: RouteTableHandle,
        store: Store,
        clock: Clock,
        feed: Arc<RevocationFeed>,
        principals: Arc<Principals>,
    ) -> Self {
        let expired_rows = Arc::new(ExpiredRows::new(tables, store.clone(), clock.clone()));
        Self { store, clock, feed, principals, expired_rows }
    }

    /// Reads the change log immediately and then every second, until dropped. Also deletes expired rows from
    /// time to time. Spawn it once per process; without it no access token is accepted.
    pub async fn follow(self: Arc<Self>) {
        let mut tick = tokio::time::interval(READ_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = LoggedState::default();
        let mut pruning = JoinSet::new();
        for reading in 0_u64.. {
            tick.tick().await;
            let read = self.read_in_time().await;
            let changed = failing.changes_to(read.is_err());
            match &read {
                Ok(()) if changed => tracing::info!("the revocation log is readable again"),
                Err(error) if changed => {
                    tracing::error!(
                        %error,
                        "failed to read the revocation log; access tokens are rejected after storeOutageGrace at the latest"
                    );
                }
                _ => {}
            }
            while pruning.try_join_next().is_some() {}
            if read.is_ok() && reading % READS_PER_PRUNE == 0 && pruning.is_empty() {
                // In a separate task: deleting many rows must not delay revocations.
                let expired_rows = Arc::clone(&self.expired_rows);
                pruning.spawn(async move {
                    if let Err(error) = expired_rows.delete().await {
                        tracing::warn!(%error, "failed to delete expired rows; will retry");
                    }
                });
            }
        }
    }

    async fn read_in_time(&self) -> Result<(), ReadError> {
        Ok(tokio::time::timeout(READ_TIMEOUT, self.read()).await??)
    }

    /// Reads the log once. Used at startup, before the first request, and by tests that control the clock.
    ///
    /// # Errors
    /// When the store fails, or this replica's clock differs too much from the database's.
    pub async fn read(&self) -> Result<(), InternalError> {
        let checked = self.store.check_clock(|| self.clock.now().0).await;
        self.feed.set_clock_differs(matches!(checked, Err(StoreError::ClockDifference { .. })));
        checked?;
        let started = self.clock.now();
        let changes = self.store.changes_since(self.feed.read_from(), started.0).await?;
        for changed in self.feed.apply(changes, started) {
            // Reload immediately: the check of an open stream cannot wait for the store.
            self.principals.load(&changed).await?;
        }
        Ok(())
    }
}
