//! Renews the sign-ins of persons whose streams outlive their access tokens.
//!
//! A client that only listens does not refresh its token, so nothing else would notice that its user has left the
//! company. The identity provider is asked at most once per lifetime of an access token and person: by one
//! replica, however many streams are open, and whether or not it answers.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_policy::{Principal, PrincipalId, PrincipalKind, RouteTableHandle};
use portcullis_store::{Store, StoreError};

use crate::SignInRenewal;

/// Maximum number of persons whose next renewal is remembered. For another one the store is asked again.
const MAX_PERSONS: u64 = 100_000;
/// When the store fails, it is asked again after this time.
const RETRY_DELAY: Duration = Duration::from_secs(30);

/// Decides when the identity provider is asked for the owners of open streams.
pub(crate) struct StreamRenewal {
    tables: RouteTableHandle,
    store: Store,
    clock: Clock,
    sign_ins: Arc<SignInRenewal>,
    /// When a person's renewal is due next.
    due: Cache<PrincipalId, UnixMillis>,
}

impl StreamRenewal {
    pub(crate) fn new(
        tables: RouteTableHandle,
        store: Store,
        clock: Clock,
        sign_ins: Arc<SignInRenewal>,
    ) -> Self {
        Self { tables, store, clock, sign_ins, due: Cache::new(MAX_PERSONS) }
    }

    /// Starts a renewal in the background if one is due. Called every second for each open stream whose token
    /// has expired. Never waits.
    pub(crate) fn ask_if_due(self: &Arc<Self>, principal: &Principal) {
        if principal.kind() != PrincipalKind::Person {
            return;
        }
        let now = self.clock.now();
        if self.due.get(&principal.id).is_some_and(|due| now < due) {
            return;
        }
        let Some(lifetime) = self.access_lifetime() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // Other streams of this person do not start another one meanwhile.
        self.due.insert(principal.id.clone(), now.after(RETRY_DELAY));
        let (renewal, who) = (Arc::clone(self), principal.id.clone());
        runtime.spawn(async move {
            let due = renewal.ask(&who, now, lifetime).await.unwrap_or_else(|error| {
                tracing::warn!(principal = who.as_str(), %error, "failed to look up a sign-in; will retry");
                now.after(RETRY_DELAY)
            });
            renewal.due.insert(who, due);
        });
    }

    /// Asks the identity provider, unless a replica has done so within the lifetime of an access token. Returns
    /// when the next renewal is due.
    async fn ask(
        &self,
        who: &PrincipalId,
        now: UnixMillis,
        lifetime: Duration,
    ) -> Result<UnixMillis, StoreError> {
        let milliseconds = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        let since = now.0.saturating_sub(milliseconds);
        if self.store.claim_sign_in_renewal(who.as_str(), now.0, since).await? {
            // Its result is applied by the revocation log, which every stream follows.
            self.sign_ins.renew(who).await;
            return Ok(now.after(lifetime));
        }
        let asked_at = self.store.last_sign_in_renewal(who.as_str()).await?;
        // Without an account there is nothing to renew.
        Ok(asked_at.map_or(now, |at| UnixMillis(at.clamp(since, now.0))).after(lifetime))
    }

    fn access_lifetime(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.tables.current()?.gateway.tokens.access_seconds))
    }
}
