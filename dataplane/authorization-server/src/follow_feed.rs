//! Reads the change log periodically, and deletes expired rows from the store.

use std::time::Duration;

use portcullis_logging::LoggedState;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::client::UNUSED_CLIENT_SECONDS;
use crate::{AuthorizationServer, InternalError};

/// How often the log is read. A revocation at another replica takes effect here after at most this time plus
/// the time of one read.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// Deadline of one read.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of reads between two deletions of expired rows.
const READS_PER_PRUNE: u64 = 600;

/// How long codes and grants are kept after they end. Their late reuse is detected and recorded until then.
const ENDED_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long a used refresh token is kept. Its reuse revokes the grant until then.
const USED_REFRESH_TOKEN_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

impl AuthorizationServer {
    /// Reads the change log immediately and then every second, until dropped. Also deletes expired rows from
    /// time to time. Spawn it once per process; without it no access token is accepted.
    pub async fn follow_feed(self) {
        let mut tick = tokio::time::interval(READ_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = LoggedState::default();
        let mut pruning = JoinSet::new();
        for reading in 0_u64.. {
            tick.tick().await;
            let read = match tokio::time::timeout(READ_TIMEOUT, self.read_feed()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("the store did not respond within {} s", READ_TIMEOUT.as_secs())),
            };
            let changed = failing.changes_to(read.is_err());
            match &read {
                Ok(()) if changed => tracing::info!("the revocation log is readable again"),
                Err(error) if changed => {
                    tracing::error!(
                        %error,
                        "failed to read the revocation log; access tokens will be rejected after storeOutageGrace"
                    );
                }
                _ => {}
            }
            while pruning.try_join_next().is_some() {}
            if read.is_ok() && reading % READS_PER_PRUNE == 0 && pruning.is_empty() {
                // In a separate task: deleting many rows must not delay revocations.
                let identity = self.clone();
                pruning.spawn(async move {
                    if let Err(error) = identity.prune().await {
                        tracing::warn!(%error, "failed to delete expired rows; will retry");
                    }
                });
            }
        }
    }

    /// Reads the log once. Used at startup, before the first request, and by tests that control the clock.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_feed(&self) -> Result<(), InternalError> {
        let started = self.clock().now();
        let changes = self.store().changes_since(self.feed().read_from(), started.0).await?;
        for changed in self.feed().apply(changes, started) {
            // Reload immediately: the check of an open stream cannot wait for the store.
            self.load_principal(&changed).await?;
        }
        Ok(())
    }

    /// Deletes expired rows from the store.
    pub(crate) async fn prune(&self) -> Result<(), InternalError> {
        let now = self.clock().now();
        let before = |duration: Duration| {
            now.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
        };
        self.store().prune_changes(now.0).await?;
        self.store().prune_grants(before(ENDED_RETENTION), before(USED_REFRESH_TOKEN_RETENTION)).await?;
        self.store().prune_assertions(now.0).await?;
        if let Some(table) = self.tables().current() {
            // No session or grant lasts longer than this without a renewal at the provider.
            let tokens = &table.gateway.tokens;
            let longest = tokens.session_seconds.saturating_add(tokens.refresh_seconds);
            self.store()
                .prune_provider_accounts(before(ENDED_RETENTION + Duration::from_secs(longest)))
                .await?;
        }
        self.store().prune_clients(before(Duration::from_secs(UNUSED_CLIENT_SECONDS))).await?;
        Ok(())
    }
}
