//! Keeping up with the log of changes, and forgetting what is over.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::client::UNUSED_CLIENT_SECONDS;
use crate::{AuthorizationServer, InternalError};

/// How often the log is read. Together with the time that a reading takes, this is how long a revocation made elsewhere takes to
/// arrive.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// A reading that takes longer has failed.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How often expired rows are deleted, in readings of the log.
const READS_PER_PRUNE: u64 = 600;

/// How long codes and grants are kept after their end, so that their late reuse is recognised and recorded.
const ENDED_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long a used refresh token is kept, so that its reuse ends the family.
const USED_REFRESH_TOKEN_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

impl AuthorizationServer {
    /// Follows the log of revocations and of changed people: at once, then each second, until dropped. Also deletes what has
    /// expired, now and then. To be spawned once; without it no token is honoured.
    pub async fn follow_feed(self) {
        let mut tick = tokio::time::interval(READ_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hears = true;
        let mut pruning = JoinSet::new();
        for reading in 0_u64.. {
            tick.tick().await;
            let heard = match tokio::time::timeout(READ_TIMEOUT, self.read_feed()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {} s", READ_TIMEOUT.as_secs())),
            };
            match &heard {
                Ok(()) if !hears => tracing::info!("the log of revocations is being followed again"),
                Err(error) if hears => {
                    tracing::error!(%error, "the log of revocations cannot be read; after storeOutageGrace no token is honoured");
                }
                _ => {}
            }
            hears = heard.is_ok();
            while pruning.try_join_next().is_some() {}
            if hears && reading % READS_PER_PRUNE == 0 && pruning.is_empty() {
                // Beside the following: there may be much to delete, and revocations do not wait for it.
                let identity = self.clone();
                pruning.spawn(async move {
                    if let Err(error) = identity.prune().await {
                        tracing::warn!(%error, "what has expired could not be deleted; it will be tried again");
                    }
                });
            }
        }
    }

    /// Reads the log once. For whoever starts the gateway and wants the first reading done before the first request, and for
    /// tests that own the clock.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn read_feed(&self) -> Result<(), InternalError> {
        let started = self.clock().now();
        let changes = self.store().changes_since(self.feed().read_from(), started.0).await?;
        for changed in self.feed().apply(changes, started) {
            // Read again at once: who watches over an open stream cannot wait for the store.
            self.load_principal(&changed).await?;
        }
        Ok(())
    }

    /// Deletes what has expired.
    pub(crate) async fn prune(&self) -> Result<(), InternalError> {
        let now = self.clock().now();
        let before = |duration: Duration| {
            now.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
        };
        self.store().prune_changes(now.0).await?;
        self.store().prune_grants(before(ENDED_RETENTION), before(USED_REFRESH_TOKEN_RETENTION)).await?;
        self.store().prune_assertions(now.0).await?;
        if let Some(table) = self.tables().current() {
            // Nothing that somebody has signed in to lives for longer without their provider being asked.
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
