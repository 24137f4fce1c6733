//! Follows connections made and deleted at other replicas, and invalidates this replica's cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::UnixMillis;
use portcullis_policy::PrincipalId;
use portcullis_store::{ConnectionChangeRow, StoreError};
use tokio::time::MissedTickBehavior;

use crate::{ConnectionChange, CredentialBroker, Inner};

/// How often the log is read. Changes at other replicas take this long, plus the time of one read, to arrive.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Deadline for one read.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// Each read starts this far before the previous one; `store/src/change_log.rs` explains why.
const POLL_OVERLAP: Duration = Duration::from_secs(120);

/// Position in the log.
pub(crate) struct ChangeCursor {
    read_until: UnixMillis,
    /// Changes within the overlap that were already applied.
    applied: HashMap<(String, String, bool), i64>,
}

impl ChangeCursor {
    /// Starts at `now`: the cache is still empty, so earlier changes do not matter.
    pub(crate) fn starting_at(now: UnixMillis) -> Self {
        Self { read_until: now, applied: HashMap::new() }
    }
}

impl CredentialBroker {
    /// Reads the log of connected and disconnected accounts every second, until dropped. Spawn it once.
    /// Without it, this replica uses an account that was disconnected at another replica for up to five more
    /// minutes.
    pub async fn watch_connection_changes(self) {
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // Store outages are reported by the reader of the revocation log, which is in the same store.
            match tokio::time::timeout(POLL_TIMEOUT, self.poll_connection_changes()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "failed to read the log of connection changes"),
                Err(_) => tracing::debug!("timed out reading the log of connection changes"),
            }
        }
    }

    /// Reads the log once.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn poll_connection_changes(&self) -> Result<(), StoreError> {
        let inner = &self.0;
        let mut heard = inner.heard.lock().await;
        let started = inner.parts.clock.now();
        let overlap = i64::try_from(POLL_OVERLAP.as_millis()).unwrap_or(i64::MAX);
        let since = heard.read_until.0.saturating_sub(overlap);
        let mut changes = inner.parts.store.connection_changes_since(since, started.0).await?;
        changes.sort_by_key(|change| change.changed_at);
        for change in changes {
            let ConnectionChangeRow { principal_id, origin_uid, connected, changed_at } = change;
            let key = (principal_id.clone(), origin_uid.clone(), connected);
            if heard.applied.insert(key, changed_at) != Some(changed_at) {
                inner.apply_change(&PrincipalId::from_stored(&principal_id), &origin_uid.into(), connected);
            }
        }
        heard.applied.retain(|_, at| started.since(UnixMillis(*at)) <= POLL_OVERLAP * 2);
        heard.read_until = started;
        Ok(())
    }
}

impl Inner {
    /// Invalidates the cache after an account was connected or disconnected, and notifies subscribers.
    pub(crate) fn apply_change(self: &Arc<Self>, who: &PrincipalId, origin_uid: &Arc<str>, connected: bool) {
        self.cache.invalidate_by_uid(who, origin_uid);
        // Waits for tasks that read the store before the change and have not filled the cache yet.
        let (inner, who, origin_uid) = (Arc::clone(self), who.clone(), Arc::clone(origin_uid));
        tokio::spawn(async move {
            let gate = inner.cache.refresh_state_by_uid(&who, &origin_uid);
            let _alone = gate.lock().await;
            inner.cache.invalidate_by_uid(&who, &origin_uid);
            // Without receivers `send` fails, which is fine.
            inner.changes.send(ConnectionChange { who, origin_uid, connected }).ok();
        });
    }
}
