//! Which virtual MCP has each slug, and for which namespace a freed slug is reserved. Pure.
//!
//! The published route documents show who has a slug. What they do not show is kept in the ConfigMap
//! `portcullis-slugs`: freed slugs, and slugs of virtual MCPs that are not published at the moment.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_clock::UnixMillis;
use portcullis_compiler::SlugClaims;
use portcullis_config_distribution::{SlugRecord, SlugRecords};

use crate::cluster_state::PublishedRoute;

/// How long a freed slug is reserved for its namespace.
const RESERVATION: Duration = Duration::from_secs(24 * 3600);
/// Freed slugs that are reserved for one namespace. The oldest are forgotten first.
const MAX_RESERVED_PER_NAMESPACE: usize = 64;
/// Records in the ConfigMap. An object has a size limit.
const MAX_RECORDS: usize = 4096;

/// The slugs of an installation.
#[derive(Default)]
pub(crate) struct SlugLedger {
    loaded: bool,
    holders: BTreeMap<String, SlugHolder>,
    reserved: BTreeMap<String, Reservation>,
}

/// The virtual MCP that has a slug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlugHolder {
    pub(crate) uid: String,
    pub(crate) namespace: String,
}

/// A freed slug.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reservation {
    last: SlugHolder,
    since: UnixMillis,
}

impl SlugLedger {
    /// Whether [`load`](Self::load) was called.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Loads what was published and recorded before this operator led. Of several documents with the same
    /// slug the latest counts.
    pub(crate) fn load<'a>(
        &mut self,
        routes: impl Iterator<Item = &'a PublishedRoute>,
        records: SlugRecords,
    ) {
        self.loaded = true;
        let mut serials = BTreeMap::new();
        for route in routes {
            let latest = serials.entry(&route.slug).or_insert(route.serial);
            if *latest <= route.serial {
                *latest = route.serial;
                self.holders.insert(route.slug.clone(), route.holder.clone());
            }
        }
        for (slug, SlugRecord { namespace, uid, freed_at }) in records {
            if self.holders.contains_key(&slug) {
                continue;
            }
            let last = SlugHolder { uid, namespace };
            match freed_at.map(UnixMillis) {
                Some(since) => drop(self.reserved.insert(slug, Reservation { last, since })),
                None => drop(self.holders.insert(slug, last)),
            }
        }
    }

    /// The slugs that are not for newcomers. `wants` says whether the virtual MCP with this UID still has this
    /// slug; otherwise it was freed since the last [`update`](Self::update).
    pub(crate) fn claims(&self, now: UnixMillis, wants: impl Fn(&str, &str) -> bool) -> SlugClaims {
        let reserved = self.reserved.iter().filter(|(_, it)| now.since(it.since) < RESERVATION);
        let reserved = reserved.map(|(slug, it)| (slug.clone(), it.last.namespace.clone()));
        let mut claims = SlugClaims { holders: BTreeMap::new(), reserved: reserved.collect() };
        for (slug, holder) in &self.holders {
            if wants(slug, &holder.uid) {
                claims.holders.insert(slug.clone(), holder.uid.clone());
            } else {
                claims.reserved.insert(slug.clone(), holder.namespace.clone());
            }
        }
        claims
    }

    /// Records which virtual MCP has each slug now. Slugs that nobody has any more become reserved.
    pub(crate) fn update(&mut self, assigned: BTreeMap<String, SlugHolder>, now: UnixMillis) {
        let before = std::mem::replace(&mut self.holders, assigned);
        for (slug, last) in before {
            if !self.holders.contains_key(&slug) {
                self.reserved.insert(slug, Reservation { last, since: now });
            }
        }
        let holders = &self.holders;
        self.reserved.retain(|slug, _| !holders.contains_key(slug));
        self.end_reservations(now);
        self.limit_reserved();
    }

    /// Forgets the reservations that have ended.
    pub(crate) fn end_reservations(&mut self, now: UnixMillis) {
        self.reserved.retain(|_, it| now.since(it.since) < RESERVATION);
    }

    /// Whether a reservation has ended, so that a virtual MCP may get the slug.
    pub(crate) fn has_expired(&self, now: UnixMillis) -> bool {
        self.reserved.values().any(|it| now.since(it.since) >= RESERVATION)
    }

    /// What the published documents do not show.
    pub(crate) fn records(&self, is_published: impl Fn(&str) -> bool) -> SlugRecords {
        let freed = self.reserved.iter().map(|(slug, it)| (slug, &it.last, Some(it.since.0)));
        let held = self.holders.iter().filter(|(_, holder)| !is_published(&holder.uid));
        let held = held.map(|(slug, holder)| (slug, holder, None));
        let record = |(slug, holder, freed_at): (&String, &SlugHolder, _)| {
            let SlugHolder { uid, namespace } = holder.clone();
            (slug.clone(), SlugRecord { namespace, uid, freed_at })
        };
        freed.chain(held).take(MAX_RECORDS).map(record).collect()
    }

    fn limit_reserved(&mut self) {
        let mut by_namespace: BTreeMap<&str, Vec<(UnixMillis, &String)>> = BTreeMap::new();
        for (slug, it) in &self.reserved {
            by_namespace.entry(&it.last.namespace).or_default().push((it.since, slug));
        }
        let mut forgotten = Vec::new();
        for slugs in by_namespace.values_mut() {
            slugs.sort();
            let surplus = slugs.len().saturating_sub(MAX_RESERVED_PER_NAMESPACE);
            forgotten.extend(slugs.iter().take(surplus).map(|(_, slug)| (*slug).clone()));
        }
        forgotten.iter().for_each(|slug| drop(self.reserved.remove(slug)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn always(_: &str, _: &str) -> bool {
        true
    }

    fn holder(uid: &str, namespace: &str) -> SlugHolder {
        SlugHolder { uid: uid.to_owned(), namespace: namespace.to_owned() }
    }

    fn assigned(slugs: &[(&str, &str, &str)]) -> BTreeMap<String, SlugHolder> {
        slugs.iter().map(|(slug, uid, namespace)| ((*slug).to_owned(), holder(uid, namespace))).collect()
    }

    fn after(hours: i64) -> UnixMillis {
        UnixMillis(NOW.0 + hours * 3_600_000)
    }

    fn route(slug: &str, uid: &str, namespace: &str, serial: i64) -> PublishedRoute {
        PublishedRoute { slug: slug.to_owned(), holder: holder(uid, namespace), serial }
    }

    #[test]
    fn given_a_freed_slug_then_it_is_reserved_for_its_namespace_for_a_day() {
        let mut ledger = SlugLedger::default();
        ledger.update(assigned(&[("read", "uid-1", "alice")]), NOW);
        assert_eq!(ledger.claims(NOW, always).holders["read"], "uid-1");
        let freed = ledger.claims(NOW, |_, _| false);
        assert!(freed.holders.is_empty());
        assert_eq!(freed.reserved["read"], "alice", "also in the compilation that frees it");
        ledger.update(BTreeMap::new(), after(1));
        assert!(ledger.claims(after(1), always).holders.is_empty());
        assert_eq!(ledger.claims(after(24), always).reserved["read"], "alice");
        assert!(!ledger.has_expired(after(24)) && ledger.has_expired(after(25)));
        assert!(ledger.claims(after(25), always).reserved.is_empty());
        ledger.update(assigned(&[("read", "uid-2", "bob")]), after(25));
        assert_eq!(ledger.claims(after(25), always).holders["read"], "uid-2");
        assert!(!ledger.has_expired(after(99)));
    }

    #[test]
    fn given_another_operator_when_it_leads_then_it_continues_from_documents_and_records() {
        let mut ledger = SlugLedger::default();
        let all = [("a", "uid-a", "alice"), ("b", "uid-b", "alice"), ("c", "uid-c", "bob")];
        ledger.update(assigned(&all), NOW);
        ledger.update(assigned(&all[..2]), after(1));
        // `b` is invalid at the moment, so it is not published.
        let records = ledger.records(|uid| uid == "uid-a");
        assert_eq!(records.keys().collect::<Vec<_>>(), ["b", "c"]);
        let mut next = SlugLedger::default();
        next.load([route("a", "uid-a", "alice", 5)].iter(), records);
        assert!(next.is_loaded());
        assert_eq!(next.claims(after(2), always), ledger.claims(after(2), always));
    }

    #[test]
    fn given_two_documents_with_one_slug_then_the_later_one_counts() {
        let routes = [route("a", "new", "alice", 9), route("a", "old", "mallory", 5)];
        for order in [[0, 1], [1, 0]] {
            let mut ledger = SlugLedger::default();
            ledger.load(order.iter().map(|at| &routes[*at]), SlugRecords::new());
            assert_eq!(ledger.claims(NOW, always).holders["a"], "new");
        }
    }

    #[test]
    fn given_a_namespace_that_frees_many_slugs_then_it_reserves_a_bounded_number_and_others_keep_theirs() {
        let mut ledger = SlugLedger::default();
        ledger.update(assigned(&[("kept", "uid", "alice")]), NOW);
        for round in 0..200 {
            let slug = format!("slug-{round:03}");
            let at = UnixMillis(NOW.0 + round);
            ledger.update(assigned(&[(&slug, "uid-m", "mallory")]), at);
        }
        ledger.update(BTreeMap::new(), UnixMillis(NOW.0 + 200));
        let reserved = ledger.claims(after(1), always).reserved;
        assert_eq!(reserved.len(), MAX_RESERVED_PER_NAMESPACE + 1);
        assert_eq!(reserved["kept"], "alice");
        assert!(reserved.contains_key("slug-199") && !reserved.contains_key("slug-000"));
    }
}
