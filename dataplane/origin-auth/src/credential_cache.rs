//! In-memory cache of credentials, and the per-person, per-origin lock for refreshing them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_policy::{Origin, PrincipalId};
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::{Credential, CredentialError};

/// Maximum number of cached credentials. Those beyond it are read from the store on each call.
const MAX_CREDENTIALS: u64 = 100_000;

/// Refresh a token this close to expiry before using it: it could expire before it arrives.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// How often a cached credential is compared with the store: another replica may have deleted the account.
pub(crate) const REVISIT_INTERVAL: Duration = Duration::from_secs(300);

/// Delay after a failure to obtain a credential.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Minimum time between replacements of a token that the origin rejects.
const MIN_REPLACE_INTERVAL: Duration = Duration::from_secs(10);

type CacheKey = (PrincipalId, Arc<str>);

/// A credential, ready to be sent.
pub(crate) struct CachedCredential {
    /// The origin, as it was when the credential was cached.
    pub(crate) origin: Arc<Origin>,
    /// `Bearer …`.
    pub(crate) header: Arc<HeaderValue>,
    /// When to read the store again, either to refresh or to check that the connection still exists.
    pub(crate) revisit_at: UnixMillis,
    /// When the token expires.
    pub(crate) expires_at: Option<UnixMillis>,
    /// Whether a task is already reading the store again.
    revisiting: AtomicBool,
}

impl CachedCredential {
    fn new(
        origin: &Arc<Origin>,
        header: Arc<HeaderValue>,
        revisit_at: UnixMillis,
        expires_at: Option<UnixMillis>,
    ) -> Self {
        let origin = Arc::clone(origin);
        Self { origin, header, revisit_at, expires_at, revisiting: AtomicBool::new(false) }
    }

    /// Whether it belongs to this origin. A changed URL or registration makes it another origin.
    pub(crate) fn is_for(&self, origin: &Arc<Origin>) -> bool {
        Arc::ptr_eq(&self.origin, origin)
            || (self.origin.url == origin.url && self.origin.auth == origin.auth)
    }

    /// Whether it has not expired.
    pub(crate) fn is_valid(&self, now: UnixMillis) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether it expires within [`EXPIRY_MARGIN`].
    pub(crate) fn is_about_to_expire(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|expires_at| now.after(EXPIRY_MARGIN) >= expires_at)
    }

    /// Claims the background revisit. `false` if another task has it already.
    pub(crate) fn claim_revisit(&self) -> bool {
        !self.revisiting.swap(true, Ordering::Relaxed)
    }

    /// Releases the revisit, if this credential is still cached.
    pub(crate) fn end_revisit(&self) {
        self.revisiting.store(false, Ordering::Relaxed);
    }

    pub(crate) fn credential(&self) -> Credential {
        Credential::bearer(&self.origin, Arc::clone(&self.header))
    }
}

/// The last failure to obtain a credential.
struct RecentFailure {
    at: UnixMillis,
    error: CredentialError,
    /// The origin, as it was then.
    origin: Arc<Origin>,
}

/// State of the refresh lock: one task at a time obtains a credential for a person and origin.
#[derive(Default)]
pub(crate) struct RefreshState {
    /// The last failure, for tasks that waited for the lock meanwhile.
    failed: Option<RecentFailure>,
    /// When a token that was obtained without a person's consent was last replaced because the origin
    /// rejected it.
    replaced_at: Option<UnixMillis>,
}

impl RefreshState {
    /// The error to repeat instead of trying again: another task failed while this one waited for the lock.
    /// With `after_delay`, also a failure less than [`RETRY_DELAY`] ago. A changed origin may be fixed, so it
    /// is tried again at once.
    pub(crate) fn repeated_error(
        &self,
        origin: &Arc<Origin>,
        waiting_since: UnixMillis,
        after_delay: Option<UnixMillis>,
    ) -> Option<CredentialError> {
        let failure = self.failed.as_ref().filter(|failure| Arc::ptr_eq(&failure.origin, origin))?;
        let is_new = failure.at >= waiting_since;
        let is_recent = after_delay.is_some_and(|now| now < failure.at.after(RETRY_DELAY));
        (is_new || is_recent).then(|| failure.error.clone())
    }

    /// Ends a failure: a new consent may have fixed it.
    pub(crate) fn clear_failure(&mut self) {
        self.failed = None;
    }

    /// Keeps a failure for [`repeated_error`](Self::repeated_error).
    pub(crate) fn record_result(
        &mut self,
        result: &Result<Credential, CredentialError>,
        origin: &Arc<Origin>,
        at: UnixMillis,
    ) {
        self.failed = match result {
            Err(error @ (CredentialError::Unavailable(_) | CredentialError::Refused(_))) => {
                Some(RecentFailure { at, error: error.clone(), origin: Arc::clone(origin) })
            }
            _ => None,
        };
    }

    /// Whether a token that the origin rejected may be replaced. If the origin rejects the new one too,
    /// further replacements would not help.
    pub(crate) fn may_replace(&mut self, now: UnixMillis) -> bool {
        let may = self.replaced_at.is_none_or(|last| now >= last.after(MIN_REPLACE_INTERVAL));
        if may {
            self.replaced_at = Some(now);
        }
        may
    }
}

/// Cached credentials and refresh locks.
pub(crate) struct CredentialCache {
    clock: Clock,
    credentials: Cache<CacheKey, Arc<CachedCredential>>,
    refresh_states: Cache<CacheKey, Arc<Mutex<RefreshState>>>,
}

impl CredentialCache {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            credentials: Cache::new(MAX_CREDENTIALS),
            refresh_states: Cache::builder()
                .max_capacity(MAX_CREDENTIALS)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
        }
    }

    pub(crate) fn get(&self, who: &PrincipalId, origin: &Origin) -> Option<Arc<CachedCredential>> {
        self.credentials.get(&key(who, &origin.uid))
    }

    pub(crate) fn insert(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        header: &Arc<HeaderValue>,
        revisit_at: UnixMillis,
        expires_at: Option<UnixMillis>,
    ) {
        let credential = CachedCredential::new(origin, Arc::clone(header), revisit_at, expires_at);
        self.credentials.insert(key(who, &origin.uid), Arc::new(credential));
    }

    /// Caches the credential of a connection until `refresh_at`, but at most for [`REVISIT_INTERVAL`].
    pub(crate) fn insert_connection(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
        refresh_at: Option<UnixMillis>,
    ) -> Credential {
        let latest = self.clock.now().after(REVISIT_INTERVAL);
        let revisit_at = refresh_at.map_or(latest, |refresh_at| refresh_at.min(latest));
        self.insert(who, origin, &connection.header, revisit_at, connection.expires_at());
        Credential::bearer(origin, Arc::clone(&connection.header))
    }

    pub(crate) fn invalidate(&self, who: &PrincipalId, origin_uid: &Arc<str>) {
        self.credentials.invalidate(&key(who, origin_uid));
    }

    /// Held while a credential is obtained. It protects the cache; the store has its own leases.
    pub(crate) fn refresh_state(&self, who: &PrincipalId, origin_uid: &Arc<str>) -> Arc<Mutex<RefreshState>> {
        self.refresh_states.get_with(key(who, origin_uid), Arc::default)
    }
}

fn key(who: &PrincipalId, origin_uid: &Arc<str>) -> CacheKey {
    (who.clone(), Arc::clone(origin_uid))
}
