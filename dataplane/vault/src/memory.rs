use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;
use portcullis_ambient::Instant;
use portcullis_policy::{Origin, PrincipalId};
use tokio::sync::Mutex;

use crate::{Credential, CredentialError};

/// How many credentials are remembered. Those beyond cost a look into the store.
const CAPACITY: u64 = 100_000;

/// So close to its expiry a token is not sent while another is fetched: it could expire on the way.
const LAST_MOMENTS: Duration = Duration::from_secs(10);

/// A token that is refused is replaced so often at most.
const REPLACED: Duration = Duration::from_secs(10);

type Key = (PrincipalId, Arc<str>);

/// A credential, ready to be sent.
pub(crate) struct Remembered {
    /// For which origin, as it was then.
    pub(crate) origin: Arc<Origin>,
    /// `Bearer …`.
    pub(crate) header: Arc<HeaderValue>,
    /// When to look into the store again, be it to refresh or to see whether it is still there.
    pub(crate) revisit_at: Instant,
    /// When it is of no use any more.
    pub(crate) expires_at: Option<Instant>,
    /// Whether somebody is already looking.
    revisiting: AtomicBool,
}

impl Remembered {
    pub(crate) fn new(
        origin: &Arc<Origin>,
        header: Arc<HeaderValue>,
        revisit_at: Instant,
        expires_at: Option<Instant>,
    ) -> Self {
        let origin = Arc::clone(origin);
        Self { origin, header, revisit_at, expires_at, revisiting: AtomicBool::new(false) }
    }

    /// Whether it was made for this very origin: one whose URL or registration has changed since is another.
    pub(crate) fn serves(&self, origin: &Arc<Origin>) -> bool {
        Arc::ptr_eq(&self.origin, origin)
            || (self.origin.url == origin.url && self.origin.auth == origin.auth)
    }

    /// Whether it has not expired.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether it is about to.
    pub(crate) fn is_in_its_last_moments(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|expires_at| now.after(LAST_MOMENTS) >= expires_at)
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
pub(crate) struct Failed {
    pub(crate) at: Instant,
    pub(crate) why: CredentialError,
    /// For which origin, as it was then.
    pub(crate) origin: Arc<Origin>,
}

/// Lets one task at a time do the slow work for one person and origin.
#[derive(Default)]
pub(crate) struct Gate {
    /// The last time that it failed: for those who waited meanwhile.
    pub(crate) failed: Option<Failed>,
    /// When the origin refused a token of which no person knows, and another was fetched.
    pub(crate) replaced: Option<Instant>,
}

impl Gate {
    /// Whether a token that the origin refuses may be replaced by another. Where it refuses that one too, each further would be
    /// one more for nothing.
    pub(crate) fn may_replace(&mut self, now: Instant) -> bool {
        let may = self.replaced.is_none_or(|last| now >= last.after(REPLACED));
        if may {
            self.replaced = Some(now);
        }
        may
    }
}

/// What is remembered of credentials, and who is at work on them.
pub(crate) struct Memory {
    credentials: Cache<Key, Arc<Remembered>>,
    gates: Cache<Key, Arc<Mutex<Gate>>>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            credentials: Cache::new(CAPACITY),
            gates: Cache::builder().max_capacity(CAPACITY).time_to_idle(Duration::from_secs(3600)).build(),
        }
    }

    pub(crate) fn get(&self, who: &PrincipalId, origin: &Origin) -> Option<Arc<Remembered>> {
        self.credentials.get(&key(who, origin))
    }

    pub(crate) fn put(&self, who: &PrincipalId, remembered: Arc<Remembered>) {
        self.credentials.insert(key(who, &remembered.origin), remembered);
    }

    pub(crate) fn forget(&self, who: &PrincipalId, origin: &Origin) {
        self.forget_at(who, &origin.uid);
    }

    pub(crate) fn forget_at(&self, who: &PrincipalId, origin_uid: &Arc<str>) {
        self.credentials.invalidate(&(who.clone(), Arc::clone(origin_uid)));
    }

    /// Held for as long as the slow work takes. What it guards is the memory's truth, not the store's: that has leases.
    pub(crate) fn gate(&self, who: &PrincipalId, origin: &Origin) -> Arc<Mutex<Gate>> {
        self.gate_at(who, &origin.uid)
    }

    pub(crate) fn gate_at(&self, who: &PrincipalId, origin_uid: &Arc<str>) -> Arc<Mutex<Gate>> {
        self.gates.get_with((who.clone(), Arc::clone(origin_uid)), Arc::default)
    }
}

fn key(who: &PrincipalId, origin: &Origin) -> Key {
    (who.clone(), Arc::clone(&origin.uid))
}
