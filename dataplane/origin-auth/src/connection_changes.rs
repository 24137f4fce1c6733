//! Hearing of accounts that were connected and disconnected at other replicas: what is remembered of them here is forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::UnixMillis;
use portcullis_policy::PrincipalId;
use portcullis_store::{ConnectionChangeRow, StoreError};
use tokio::time::MissedTickBehavior;

use crate::{ConnectionChange, CredentialBroker, Inner};

/// How often the log is read. Together with the time that a reading takes, this is how long news from elsewhere take to arrive.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A reading that takes longer has failed.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// Each reading goes back this far beyond the one before; the log says in `store/src/revocations.rs` why.
const POLL_OVERLAP: Duration = Duration::from_secs(120);

/// How far the log has been read.
pub(crate) struct ChangeCursor {
    read_until: UnixMillis,
    /// Changes within the overlap that were acted on already.
    applied: HashMap<(String, String, bool), i64>,
}

impl ChangeCursor {
    /// Nothing is remembered yet, so that what came before does not matter.
    pub(crate) fn starting_at(now: UnixMillis) -> Self {
        Self { read_until: now, applied: HashMap::new() }
    }
}

impl CredentialBroker {
    /// Follows the log of connected and disconnected accounts: each second, until dropped. To be spawned once. Without it an
    /// account that was disconnected at another replica is used here for up to five minutes more.
    pub async fn watch_connection_changes(self) {
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // That the store is away is told by whoever follows the log of revocations, which is kept beside this one.
            match tokio::time::timeout(POLL_TIMEOUT, self.poll_connection_changes()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the log of connections cannot be read"),
                Err(_) => tracing::debug!("the log of connections cannot be read in time"),
            }
        }
    }

    /// Reads the log once.
    ///
    /// # Errors
    /// When the store does not answer.
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
    /// Somebody's account at an origin is another now, or none: whoever listens is told, and the memory forgets.
    pub(crate) fn apply_change(self: &Arc<Self>, who: &PrincipalId, origin_uid: &Arc<str>, connected: bool) {
        self.cache.invalidate_by_uid(who, origin_uid);
        // Whoever had read the store before that and still is on the way to the memory is waited for.
        let (inner, who, origin_uid) = (Arc::clone(self), who.clone(), Arc::clone(origin_uid));
        tokio::spawn(async move {
            let gate = inner.cache.refresh_state_by_uid(&who, &origin_uid);
            let _alone = gate.lock().await;
            inner.cache.invalidate_by_uid(&who, &origin_uid);
            // Nobody listening is no trouble.
            inner.changes.send(ConnectionChange { who, origin_uid, connected }).ok();
        });
    }
}
