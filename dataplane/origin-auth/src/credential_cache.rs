use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;
use portcullis_clock::UnixMillis;
use portcullis_policy::{Origin, PrincipalId};
use tokio::sync::Mutex;

use crate::{Credential, CredentialError};

/// How many credentials are remembered. Those beyond cost a look into the store.
const MAX_CREDENTIALS: u64 = 100_000;

/// So close to its expiry a token is not sent while another is fetched: it could expire on the way.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// A token that is refused is replaced so often at most.
const MIN_REPLACE_INTERVAL: Duration = Duration::from_secs(10);

type CacheKey = (PrincipalId, Arc<str>);

/// A credential, ready to be sent.
pub(crate) struct CachedCredential {
    /// For which origin, as it was then.
    pub(crate) origin: Arc<Origin>,
    /// `Bearer …`.
    pub(crate) header: Arc<HeaderValue>,
    /// When to look into the store again, be it to refresh or to see whether it is still there.
    pub(crate) revisit_at: UnixMillis,
    /// When it is of no use any more.
    pub(crate) expires_at: Option<UnixMillis>,
    /// Whether somebody is already looking.
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

    /// Whether it was made for this very origin: one whose URL or registration has changed since is another.
    pub(crate) fn is_for(&self, origin: &Arc<Origin>) -> bool {
        Arc::ptr_eq(&self.origin, origin)
            || (self.origin.url == origin.url && self.origin.auth == origin.auth)
    }

    /// Whether it has not expired.
    pub(crate) fn is_valid(&self, now: UnixMillis) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether it is about to.
    pub(crate) fn is_about_to_expire(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|expires_at| now.after(EXPIRY_MARGIN) >= expires_at)
    }

    /// Makes the caller the one who looks again; `false` when somebody already does.
    pub(crate) fn claim_revisit(&self) -> bool {
        !self.revisiting.swap(true, Ordering::Relaxed)
    }

    /// Lets another look, where this one is still what is remembered.
    pub(crate) fn end_revisit(&self) {
        self.revisiting.store(false, Ordering::Relaxed);
    }

    pub(crate) fn credential(&self) -> Credential {
        Credential::bearer(&self.origin, Arc::clone(&self.header))
    }
}

/// That there was no credential to be had.
pub(crate) struct RecentFailure {
    pub(crate) at: UnixMillis,
    pub(crate) error: CredentialError,
    /// For which origin, as it was then.
    pub(crate) origin: Arc<Origin>,
}

/// Lets one task at a time do the slow work for one person and origin.
#[derive(Default)]
pub(crate) struct RefreshState {
    /// The last time that it failed: for those who waited meanwhile.
    pub(crate) failed: Option<RecentFailure>,
    /// When the origin refused a token of which no person knows, and another was fetched.
    pub(crate) replaced_at: Option<UnixMillis>,
}

impl RefreshState {
    /// Whether a token that the origin refuses may be replaced by another. Where it refuses that one too, each further would be
    /// one more for nothing.
    pub(crate) fn may_replace(&mut self, now: UnixMillis) -> bool {
        let may = self.replaced_at.is_none_or(|last| now >= last.after(MIN_REPLACE_INTERVAL));
        if may {
            self.replaced_at = Some(now);
        }
        may
    }
}

/// What is remembered of credentials, and who is at work on them.
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

    /// Held for as long as the slow work takes. What it guards is the memory's truth, not the store's: that has leases.
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
