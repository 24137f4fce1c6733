//! The change log in memory: which grants were revoked, and which principals changed.
//!
//! Every replica reads the log each second.
//! [`AccessTokenVerifier::authenticate`](crate::AccessTokenVerifier::authenticate) checks the copy in memory
//! on every call, without waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::sync::Cache;
use parking_lot::Mutex;
use portcullis_clock::UnixMillis;
use portcullis_policy::{Principal, PrincipalId};
use portcullis_store::{IdentityChange, IdentityChangeRow};

/// Each read overlaps the previous one by this time: the clocks of replicas differ, and rows may become
/// visible in another order than they were written.
const READ_OVERLAP: Duration = Duration::from_secs(120);
/// After a longer gap between reads, all cached principals are dropped, because changes may have been missed.
const MAX_READ_GAP: Duration = Duration::from_secs(3600);
/// Maximum number of cached principals.
const MAX_CACHED_PRINCIPALS: u64 = 100_000;
const NEVER_READ: i64 = i64::MIN;

/// The state of the feed.
pub(crate) struct RevocationFeed {
    revoked: ArcSwap<HashMap<Box<str>, UnixMillis>>,
    principals: Cache<PrincipalId, Arc<Principal>>,
    /// Counts changes of principals. Data derived from a principal is valid only while the epoch is
    /// unchanged.
    epoch: AtomicU64,
    /// When the log was last read to its end.
    last_read_at: AtomicI64,
    /// Whether this replica's clock differs too much from the database's. The feed is then not reliable,
    /// however recently it was read.
    clock_differs: AtomicBool,
    /// Serializes changes of the cache with changes of the epoch.
    changing: Mutex<()>,
    /// Changes of principals within the overlap that were already applied, with their times.
    applied: Mutex<HashMap<String, i64>>,
}

impl RevocationFeed {
    pub(crate) fn new() -> Self {
        Self {
            revoked: ArcSwap::default(),
            principals: Cache::new(MAX_CACHED_PRINCIPALS),
            epoch: AtomicU64::new(0),
            last_read_at: AtomicI64::new(NEVER_READ),
            clock_differs: AtomicBool::new(false),
            changing: Mutex::new(()),
            applied: Mutex::default(),
        }
    }

    /// Records whether this replica's clock differs too much from the database's.
    pub(crate) fn set_clock_differs(&self, differs: bool) {
        self.clock_differs.store(differs, Ordering::Release);
    }

    /// Whether this replica's clock differs too much from the database's.
    pub(crate) fn clock_differs(&self) -> bool {
        self.clock_differs.load(Ordering::Acquire)
    }

    /// When the log was last read to its end; `None` before the first time.
    pub(crate) fn last_read_at(&self) -> Option<UnixMillis> {
        let at = self.last_read_at.load(Ordering::Acquire);
        (at != NEVER_READ).then_some(UnixMillis(at))
    }

    /// Start of the next read of the log.
    pub(crate) fn read_from(&self) -> i64 {
        let overlap = i64::try_from(READ_OVERLAP.as_millis()).unwrap_or(i64::MAX);
        self.last_read_at().map_or(NEVER_READ, |at| at.0.saturating_sub(overlap))
    }

    /// Applies rows of the log. `started` is when the read began; later rows may be missing. Returns the
    /// principals that were removed from the cache.
    pub(crate) fn apply(&self, rows: Vec<IdentityChangeRow>, started: UnixMillis) -> Vec<PrincipalId> {
        if self.last_read_at().is_some_and(|at| started.since(at) > MAX_READ_GAP) {
            let _changing = self.changing.lock();
            self.principals.invalidate_all();
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        let (mut ended, mut removed) = (Vec::new(), Vec::new());
        {
            let mut applied = self.applied.lock();
            for row in rows {
                match row.change {
                    IdentityChange::RevokedGrant(id) => ended.push((id, UnixMillis(row.expires_at))),
                    IdentityChange::ChangedPrincipal(id) => {
                        if applied.insert(id.clone(), row.changed_at) != Some(row.changed_at) {
                            let id = PrincipalId::from_stored(&id);
                            if self.invalidate_principal(&id) {
                                removed.push(id);
                            }
                        }
                    }
                }
            }
            applied.retain(|_, at| started.since(UnixMillis(*at)) <= READ_OVERLAP * 2);
        }
        self.insert_revoked(ended, started);
        self.last_read_at.fetch_max(started.0, Ordering::AcqRel);
        removed
    }

    /// Adds revoked grants. They are kept until `until`, when the last of their access tokens has expired.
    pub(crate) fn add_revocations(
        &self,
        grants: impl IntoIterator<Item = String>,
        until: UnixMillis,
        now: UnixMillis,
    ) {
        self.insert_revoked(grants.into_iter().map(|grant| (grant, until)).collect(), now);
    }

    fn insert_revoked(&self, ended: Vec<(String, UnixMillis)>, now: UnixMillis) {
        let known = self.revoked.load();
        let stale = known.values().any(|until| *until <= now);
        if !stale && ended.iter().all(|(id, _)| known.contains_key(id.as_str())) {
            return;
        }
        self.revoked.rcu(|known| {
            let mut next: HashMap<Box<str>, UnixMillis> = known
                .iter()
                .filter(|(_, until)| **until > now)
                .map(|(id, until)| (id.clone(), *until))
                .collect();
            next.extend(ended.iter().map(|(id, until)| (id.as_str().into(), *until)));
            next
        });
    }

    /// Whether a grant was revoked.
    pub(crate) fn is_revoked(&self, grant: &str) -> bool {
        let revoked = self.revoked.load();
        !revoked.is_empty() && revoked.contains_key(grant)
    }

    /// Removes a changed principal from the cache. Returns whether it was cached.
    pub(crate) fn invalidate_principal(&self, id: &PrincipalId) -> bool {
        let _changing = self.changing.lock();
        // In this order: a reader of the new epoch cannot find the old principal in the cache. A reader of
        // the old epoch may find it, but the epoch then shows that it is outdated.
        let was_cached = self.principals.remove(id).is_some();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        was_cached
    }

    /// Number of changes of principals. Unchanged while no principal changes.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A principal, if cached.
    pub(crate) fn principal(&self, id: &PrincipalId) -> Option<Arc<Principal>> {
        self.principals.get(id)
    }

    /// Caches a principal that was read when the epoch was `read_at`, unless the epoch has changed since.
    pub(crate) fn cache_principal(&self, person: &Arc<Principal>, read_at: u64) {
        let _changing = self.changing.lock();
        if self.epoch() == read_at {
            self.principals.insert(person.id.clone(), Arc::clone(person));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(id: &str, at: i64, until: i64) -> IdentityChangeRow {
        IdentityChangeRow {
            change: IdentityChange::RevokedGrant(id.to_owned()),
            changed_at: at,
            expires_at: until,
        }
    }

    fn person(name: &str) -> Arc<Principal> {
        Arc::new(Principal::new("company", "ana", None, Some(name), ["finance"]))
    }

    #[test]
    fn given_revocations_when_their_time_is_over_then_the_set_is_small_again() {
        let feed = RevocationFeed::new();
        feed.apply(vec![revocation("a", 1_000, 5_000), revocation("b", 1_000, 9_000)], UnixMillis(1_000));
        assert!(feed.is_revoked("a") && feed.is_revoked("b") && !feed.is_revoked("c"));
        feed.apply(Vec::new(), UnixMillis(6_000));
        assert!(!feed.is_revoked("a") && feed.is_revoked("b"));
        assert_eq!(feed.revoked.load().len(), 1);
        feed.apply(Vec::new(), UnixMillis(9_000));
        assert_eq!(feed.revoked.load().len(), 0);
    }

    #[test]
    fn given_the_log_when_it_is_read_then_from_its_beginning_first_and_two_minutes_back_each_time_after() {
        let feed = RevocationFeed::new();
        assert_eq!(feed.read_from(), i64::MIN);
        feed.apply(Vec::new(), UnixMillis(500_000));
        assert_eq!(feed.read_from(), 380_000);
    }

    #[test]
    fn given_a_change_in_the_overlap_when_it_is_read_again_then_the_person_is_not_forgotten_again() {
        let feed = RevocationFeed::new();
        let change = |at| IdentityChangeRow {
            change: IdentityChange::ChangedPrincipal(person("Ana").id.as_str().to_owned()),
            changed_at: at,
            expires_at: i64::MAX,
        };
        feed.apply(vec![change(1_000)], UnixMillis(1_000));
        feed.cache_principal(&person("Ana"), feed.epoch());
        for now in [2_000, 121_000, 122_000] {
            feed.apply(vec![change(1_000)], UnixMillis(now));
            assert!(feed.principal(&person("Ana").id).is_some());
        }
        feed.apply(vec![change(2_500)], UnixMillis(123_000));
        assert!(feed.principal(&person("Ana").id).is_none());
    }

    #[test]
    fn given_a_description_that_was_read_before_a_change_when_it_is_remembered_after_then_it_is_not_kept() {
        let feed = RevocationFeed::new();
        let before = feed.epoch();
        feed.invalidate_principal(&person("Ana").id);
        feed.cache_principal(&person("Ana"), before);
        assert!(feed.principal(&person("Ana").id).is_none());
    }

    /// A reader that has seen the epoch of a change must not find the person of before.
    #[test]
    fn given_changes_and_readers_at_once_then_no_reader_takes_an_old_person_for_the_new_one() {
        use std::sync::atomic::AtomicUsize;

        const CHANGES: usize = 20_000;
        let (feed, stored) = (RevocationFeed::new(), AtomicUsize::new(0));
        let load = |id: &PrincipalId| {
            let epoch = feed.epoch();
            let known = feed.principal(id).unwrap_or_else(|| {
                let read = person(&stored.load(Ordering::SeqCst).to_string());
                feed.cache_principal(&read, epoch);
                read
            });
            (epoch, known.name.as_deref().unwrap().parse::<usize>().unwrap())
        };
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let id = person("").id.clone();
                        while stored.load(Ordering::SeqCst) < CHANGES {
                            // The epoch counts the changes that were applied.
                            let (epoch, version) = load(&id);
                            assert!(version as u64 >= epoch, "epoch {epoch} with the person of {version}");
                        }
                    })
                })
                .collect();
            let id = person("").id.clone();
            for change in 1..=CHANGES {
                stored.store(change, Ordering::SeqCst);
                feed.invalidate_principal(&id);
            }
            for reader in readers {
                reader.join().unwrap();
            }
        });
    }

    #[test]
    fn given_a_long_silence_when_the_log_is_heard_again_then_everybody_is_forgotten() {
        let feed = RevocationFeed::new();
        feed.apply(Vec::new(), UnixMillis(0));
        feed.cache_principal(&person("Ana"), feed.epoch());
        let hour = UnixMillis(0).after(MAX_READ_GAP);
        feed.apply(Vec::new(), hour);
        assert!(feed.principal(&person("Ana").id).is_some(), "no longer than that");
        feed.apply(Vec::new(), hour.after(MAX_READ_GAP * 2));
        assert!(feed.principal(&person("Ana").id).is_none());
    }
}
