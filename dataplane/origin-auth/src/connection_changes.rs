//! Follows connections made and deleted at other replicas, and invalidates this replica's cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::{Clock, UnixMillis};
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{ConnectionChangeRow, Store, StoreError};
use tokio::sync::{Mutex, broadcast};
use tokio::time::MissedTickBehavior;

use crate::BrokerDependencies;
use crate::credential_cache::CredentialCache;

/// How often the log is read. Changes at other replicas take this long, plus the time of one read, to arrive.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Deadline for one read.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// Each read starts this far before the previous one; `store/src/change_log.rs` explains why.
const POLL_OVERLAP: Duration = Duration::from_secs(120);

/// How many changes a subscriber may lag behind.
const CHANNEL_CAPACITY: usize = 1024;

/// An account was connected or disconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionChange {
    /// The person whose account changed.
    pub who: PrincipalId,
    /// UID of the origin.
    pub origin_uid: Arc<str>,
    /// Whether there is a credential now.
    pub connected: bool,
}

/// Position in the log.
struct ChangeCursor {
    read_until: UnixMillis,
    /// Changes within the overlap that were already applied.
    applied: HashMap<(String, String, bool), i64>,
}

/// Publishes connected and disconnected accounts, those at other replicas included.
pub struct ConnectionChanges {
    store: Store,
    clock: Clock,
    cache: Arc<CredentialCache>,
    sender: broadcast::Sender<ConnectionChange>,
    cursor: Mutex<ChangeCursor>,
}

impl ConnectionChanges {
    /// Starts at the current time: the cache is still empty, so earlier changes do not matter.
    pub(crate) fn new(dependencies: &BrokerDependencies, cache: &Arc<CredentialCache>) -> Self {
        let cursor = ChangeCursor { read_until: dependencies.clock.now(), applied: HashMap::new() };
        Self {
            store: dependencies.store.clone(),
            clock: dependencies.clock.clone(),
            cache: Arc::clone(cache),
            sender: broadcast::channel(CHANNEL_CAPACITY).0,
            cursor: Mutex::new(cursor),
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<ConnectionChange> {
        self.sender.subscribe()
    }

    /// Reads the log of connected and disconnected accounts every second, until dropped. Spawn it once.
    /// Without it, this replica uses an account that was disconnected at another replica for up to five more
    /// minutes.
    pub async fn watch(self: Arc<Self>) {
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // Store outages are reported by the reader of the revocation log, which is in the same store.
            match tokio::time::timeout(POLL_TIMEOUT, self.poll()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "failed to read the log of connection changes"),
                Err(_) => tracing::debug!("timed out reading the log of connection changes"),
            }
        }
    }

    /// Reads the log once.
    async fn poll(&self) -> Result<(), StoreError> {
        self.store.check_clock(|| self.clock.now().0).await?;
        let mut cursor = self.cursor.lock().await;
        let started = self.clock.now();
        let overlap = i64::try_from(POLL_OVERLAP.as_millis()).unwrap_or(i64::MAX);
        let since = cursor.read_until.0.saturating_sub(overlap);
        let mut changes = self.store.connection_changes_since(since, started.0).await?;
        changes.sort_by_key(|change| change.changed_at);
        for change in changes {
            let ConnectionChangeRow { principal_id, origin_uid, connected, changed_at } = change;
            let key = (principal_id.clone(), origin_uid.clone(), connected);
            if cursor.applied.insert(key, changed_at) != Some(changed_at) {
                self.apply(&PrincipalId::from_stored(&principal_id), &origin_uid.into(), connected);
            }
        }
        cursor.applied.retain(|_, at| started.since(UnixMillis(*at)) <= POLL_OVERLAP * 2);
        cursor.read_until = started;
        Ok(())
    }

    /// Invalidates the cache after an account was connected or disconnected, and notifies subscribers.
    pub(crate) fn apply(&self, who: &PrincipalId, origin_uid: &Arc<str>, connected: bool) {
        self.cache.invalidate(who, origin_uid);
        // Waits for tasks that read the store before the change and have not filled the cache yet.
        let (cache, sender) = (Arc::clone(&self.cache), self.sender.clone());
        let change = ConnectionChange { who: who.clone(), origin_uid: Arc::clone(origin_uid), connected };
        tokio::spawn(async move {
            let lock = cache.refresh_state(&change.who, &change.origin_uid);
            let _guard = lock.lock().await;
            cache.invalidate(&change.who, &change.origin_uid);
            // Without receivers `send` fails, which is fine.
            sender.send(change).ok();
        });
    }

    /// Notifies subscribers of a change that is already applied to the cache.
    pub(crate) fn publish(&self, who: &PrincipalId, origin: &Origin, connected: bool) {
        let change = ConnectionChange { who: who.clone(), origin_uid: Arc::clone(&origin.uid), connected };
        // Without receivers `send` fails, which is fine.
        self.sender.send(change).ok();
    }
}
