//! Deletes expired rows from the store.

use std::time::Duration;

use portcullis_clock::Clock;
use portcullis_policy::RouteTableHandle;
use portcullis_store::Store;

use crate::InternalError;
use crate::client::{NEVER_GRANTED_CLIENT_SECONDS, UNUSED_CLIENT_SECONDS};
use crate::endpoint::REUSE_GRACE_PERIOD;

/// How long codes and grants are kept after they end. Their late reuse is detected and recorded until then.
const ENDED_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long a used refresh token is kept. Its reuse revokes the grant until then.
const USED_REFRESH_TOKEN_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// The expired rows of the authorization server's tables.
pub(crate) struct ExpiredRows {
    tables: RouteTableHandle,
    store: Store,
    clock: Clock,
}

impl ExpiredRows {
    pub(crate) const fn new(tables: RouteTableHandle, store: Store, clock: Clock) -> Self {
        Self { tables, store, clock }
    }

    pub(crate) async fn delete(&self) -> Result<(), InternalError> {
        let now = self.clock.now();
        let before = |duration: Duration| {
            now.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
        };
        self.store.prune_changes(now.0).await?;
        self.store.prune_superseded_refresh_tokens(before(REUSE_GRACE_PERIOD)).await?;
        self.store.prune_grants(before(ENDED_RETENTION), before(USED_REFRESH_TOKEN_RETENTION)).await?;
        self.store.prune_assertions(now.0).await?;
        if let Some(table) = self.tables.current() {
            // No session or grant lasts longer than this without a renewal at the provider.
            let tokens = &table.gateway.tokens;
            let longest = tokens.session_seconds.saturating_add(tokens.refresh_seconds);
            self.store
                .prune_provider_accounts(before(ENDED_RETENTION + Duration::from_secs(longest)))
                .await?;
        }
        self.store.prune_clients(before(Duration::from_secs(UNUSED_CLIENT_SECONDS))).await?;
        self.store.prune_unused_clients(before(Duration::from_secs(NEVER_GRANTED_CLIENT_SECONDS))).await?;
        Ok(())
    }
}
