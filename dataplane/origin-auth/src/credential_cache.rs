//! In-memory cache of credentials, and the per-person, per-origin lock for refreshing them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;
use portcullis_clock::UnixMillis;
use portcullis_policy::{Origin, PrincipalId};
use tokio::sync::Mutex;

use crate::{Credential, CredentialError};

/// Maximum number of cached credentials. Those beyond it are read from the store on each call.
const MAX_CREDENTIALS: u64 = 100_000;

/// Refresh a token this close to expiry before using it: it could expire before it arrives.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

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
    pub(crate) fn new(
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
pub(crate) struct RecentFailure {
    pub(crate) at: UnixMillis,
    pub(crate) error: CredentialError,
    /// The origin, as it was then.
    pub(crate) origin: Arc<Origin>,
}

/// State of the refresh lock: one task at a time obtains a credential for a person and origin.
#[derive(Default)]
pub(crate) struct RefreshState {
    /// The last failure, for tasks that waited for the lock meanwhile.
    pub(crate) failed: Option<RecentFailure>,
    /// When a token that was obtained without a person's consent was last replaced because the origin
    /// rejected it.
    pub(crate) replaced_at: Option<UnixMillis>,
}

impl RefreshState {
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
    credentials: Cache<CacheKey, Arc<CachedCredential>>,
    refresh_states: Cache<CacheKey, Arc<Mutex<RefreshState>>>,
}

impl CredentialCache {
    pub(crate) fn new() -> Self {
        Self {
            credentials: Cache::new(MAX_CREDENTIALS),
            refresh_states: Cache::builder()
                .max_capacity(MAX_CREDENTIALS)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
        }
    }

    pub(crate) fn get(&self, who: &PrincipalId, origin: &Origin) -> Option<Arc<CachedCredential>> {
        self.credentials.get(&key(who, origin))
    }

    pub(crate) fn put(&self, who: &PrincipalId, remembered: Arc<CachedCredential>) {
        self.credentials.insert(key(who, &remembered.origin), remembered);
    }

    pub(crate) fn invalidate(&self, who: &PrincipalId, origin: &Origin) {
        self.invalidate_by_uid(who, &origin.uid);
    }

    pub(crate) fn invalidate_by_uid(&self, who: &PrincipalId, origin_uid: &Arc<str>) {
        self.credentials.invalidate(&(who.clone(), Arc::clone(origin_uid)));
    }

    /// Held while a credential is obtained. It protects the cache; the store has its own leases.
    pub(crate) fn refresh_state(&self, who: &PrincipalId, origin: &Origin) -> Arc<Mutex<RefreshState>> {
        self.refresh_state_by_uid(who, &origin.uid)
    }

    pub(crate) fn refresh_state_by_uid(
        &self,
        who: &PrincipalId,
        origin_uid: &Arc<str>,
    ) -> Arc<Mutex<RefreshState>> {
        self.refresh_states.get_with((who.clone(), Arc::clone(origin_uid)), Arc::default)
    }
}

fn key(who: &PrincipalId, origin: &Origin) -> CacheKey {
    (who.clone(), Arc::clone(&origin.uid))
}
