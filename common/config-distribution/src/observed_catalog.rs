//! Observed catalogs: definitions of origins that users were shown, learned from traffic. Lists of private
//! catalogs are only counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::content_hash;

/// Maximum number of items per list. A longer list is user data or an attack on memory.
const MAX_ITEMS_PER_LIST: usize = 5_000;
/// Maximum number of items of all origins together.
const MAX_ITEMS_TOTAL: usize = 50_000;
/// Maximum length of a name, in bytes. MCP recommends at most 128 characters, but URI templates are names
/// here too.
const MAX_NAME_LEN: usize = 512;
/// Maximum number of definitions per name. With more, the definition differs from user to user or from call
/// to call.
const MAX_VARIANTS: usize = 4;
/// Maximum number of hashes per private list. With more, replicas keep seeing different lists.
const MAX_PRIVATE_HASHES: usize = 64;
/// Stands for the hashes of a name, or of a private list, that has too many.
const UNSTABLE_HASH: &str = "varies";

/// A list of definitions. Resources are not included, because they are user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/templates/list`.
    ResourceTemplates,
}

impl ListKind {
    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::ResourceTemplates => "resourceTemplates",
        }
    }
}

/// Definitions that users were shown, by the UID of the origin, and the time when each was last seen. Lists
/// may differ from user to user, so they are merged definition by definition. A definition stays until no
/// user was shown it for a long time. The contents of resources and the identities of users are never
/// recorded.
///
/// Times are milliseconds of one machine's clock. Between machines they are sent as ages
/// ([`swap_times_and_ages`](Self::swap_times_and_ages)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObservedCatalogs(BTreeMap<String, ObservedCatalog>);

/// Definitions of one origin that users were shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedCatalog {
    /// Endpoint that returned them.
    url: String,
    /// MCP revision of the last response, and its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol_version: Option<(String, i64)>,
    lists: BTreeMap<ListKind, ObservedList>,
    /// Lists of a private catalog: hash of all definitions that a replica saw -> their number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    private_lists: BTreeMap<ListKind, BTreeMap<String, PrivateList>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObservedList {
    seen: i64,
    /// Whether the origin declared this list public when it was last seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    public: bool,
    /// Name -> hash of its definition -> time when last seen.
    items: BTreeMap<String, BTreeMap<String, i64>>,
}

/// A list whose names are not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrivateList {
    seen: i64,
    /// Number of names that users were shown.
    count: usize,
}

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedItem {
    /// Name.
    pub name: String,
    /// Hash of its JSON text.
    hash: String,
}

impl ObservedItem {
    /// An item with this name and JSON text.
    #[must_use]
    pub fn new(name: &str, json: &str) -> Self {
        let hash = Sha256::digest(json).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { name: name.to_owned(), hash }
    }

    /// The same item, with a digest instead of its name. It can be counted and compared.
    #[must_use]
    pub fn without_name(self) -> Self {
        Self { name: content_hash(&self.name), hash: self.hash }
    }
}

impl ObservedCatalogs {
    /// Records items of a list that a user was shown. Returns whether anything is new.
    pub fn record(
        &mut self,
        origin: &str,
        url: &str,
        kind: ListKind,
        items: impl IntoIterator<Item = ObservedItem>,
        at: i64,
    ) -> bool {
        let remaining = MAX_ITEMS_TOTAL.saturating_sub(self.len());
        let list = self.entry(origin, url).lists.entry(kind);
        let mut new = matches!(list, std::collections::btree_map::Entry::Vacant(_));
        let list = list.or_default();
        list.seen = list.seen.max(at);
        let most = MAX_ITEMS_PER_LIST.min(list.items.len().saturating_add(remaining));
        for ObservedItem { name, hash } in items {
            new |= list.insert(name, hash, at, most);
        }
        new
    }

    /// Records the MCP revision of an origin's response. Returns whether it is new.
    pub fn record_protocol_version(&mut self, origin: &str, url: &str, version: &str, at: i64) -> bool {
        let known = &mut self.entry(origin, url).protocol_version;
        if known.as_ref().is_some_and(|(_, seen)| *seen > at) {
            return false;
        }
        let new = known.as_ref().is_none_or(|(known, _)| known != version);
        *known = Some((version.to_owned(), at));
        new
    }

    /// Records whether the origin declares a recorded list public. Returns whether that is new.
    pub fn declare_public(&mut self, origin: &str, url: &str, kind: ListKind, public: bool) -> bool {
        let Some(list) = self.entry(origin, url).lists.get_mut(&kind) else { return false };
        std::mem::replace(&mut list.public, public) != public
    }

    /// Removes a list. Returns whether it was there.
    pub fn remove_list(&mut self, origin: &str, kind: ListKind) -> bool {
        self.0.get_mut(origin).is_some_and(|observed| observed.lists.remove(&kind).is_some())
    }

    /// Records the number and the hash of the definitions in a list whose names are private. Returns whether
    /// anything is new.
    fn record_private(
        &mut self,
        origin: &str,
        url: &str,
        kind: ListKind,
        hash: String,
        list: PrivateList,
    ) -> bool {
        let hashes = self.entry(origin, url).private_lists.entry(kind).or_default();
        let hash = if hashes.contains_key(UNSTABLE_HASH) { UNSTABLE_HASH.to_owned() } else { hash };
        let known = hashes.get(&hash).copied();
        let merged = known.map_or(list, |known| PrivateList {
            seen: known.seen.max(list.seen),
            count: known.count.max(list.count),
        });
        hashes.insert(hash, merged);
        if hashes.len() > MAX_PRIVATE_HASHES {
            let count = hashes.values().map(|list| list.count).max().unwrap_or_default();
            *hashes = [(UNSTABLE_HASH.to_owned(), PrivateList { seen: list.seen, count })].into();
        }
        known.is_none_or(|known| known.count != merged.count)
    }

    /// The same observations with the number and the hash of each list instead of its definitions.
    #[must_use]
    pub fn without_names(self) -> Self {
        let mut counted = Self::default();
        for (origin, observed) in self.0 {
            for (kind, list) in &observed.lists {
                let private = PrivateList { seen: list.seen, count: list.items.len() };
                counted.record_private(&origin, &observed.url, *kind, list.hash(), private);
            }
        }
        counted
    }

    /// Removes the names of origins for which `may_show(uid)` returns false, except in lists that the origin
    /// declared public.
    pub fn retain_names(&mut self, mut may_show: impl FnMut(&str) -> bool) {
        for (origin, observed) in &mut self.0 {
            if !may_show(origin) {
                observed.lists.retain(|_, list| list.public);
            }
        }
    }

    /// Merges observations with times of the same clock. Returns whether anything is new.
    pub fn merge(&mut self, other: Self) -> bool {
        let mut new = false;
        for (origin, observed) in other.0 {
            let ObservedCatalog { url, protocol_version, lists, private_lists } = observed;
            if let Some((version, at)) = protocol_version {
                new |= self.record_protocol_version(&origin, &url, &version, at);
            }
            for (kind, hashes) in private_lists {
                for (hash, list) in hashes {
                    new |= self.record_private(&origin, &url, kind, hash, list);
                }
            }
            for (kind, ObservedList { seen, public, items }) in lists {
                new |= self.record(&origin, &url, kind, [], seen);
                let latest = self.get(&origin).and_then(|known| known.lists.get(&kind)).map(|list| list.seen);
                if latest.is_none_or(|latest| latest <= seen) {
                    new |= self.declare_public(&origin, &url, kind, public);
                }
                for (name, variants) in items {
                    for (hash, at) in variants {
                        new |=
                            self.record(&origin, &url, kind, [ObservedItem { name: name.clone(), hash }], at);
                    }
                }
            }
        }
        new
    }

    /// Removes entries that were last seen before this time. Returns whether there were any.
    pub fn prune_before(&mut self, time: i64) -> bool {
        let mut removed = false;
        for observed in self.0.values_mut() {
            for list in observed.lists.values_mut() {
                list.items.retain(|_, variants| {
                    let before = variants.len();
                    variants.retain(|_, seen| *seen >= time);
                    removed |= variants.len() != before;
                    !variants.is_empty()
                });
            }
            let before = observed.lists.len();
            observed.lists.retain(|_, list| list.seen >= time);
            removed |= observed.lists.len() != before;
            observed.private_lists.retain(|_, hashes| {
                let before = hashes.len();
                hashes.retain(|_, list| list.seen >= time);
                removed |= hashes.len() != before;
                !hashes.is_empty()
            });
        }
        removed
    }

    /// Keeps only origins for which `is_there(uid, url)` returns true.
    pub fn retain(&mut self, mut is_there: impl FnMut(&str, &str) -> bool) {
        self.0.retain(|origin, observed| is_there(origin, &observed.url));
    }

    /// Observed catalog of an origin.
    #[must_use]
    pub fn get(&self, origin: &str) -> Option<&ObservedCatalog> {
        self.0.get(origin)
    }

    /// Replaces each time by its difference to `now`: times become ages, and ages become times.
    #[must_use]
    pub fn swap_times_and_ages(mut self, now: i64) -> Self {
        let turn = |time: &mut i64| *time = now.saturating_sub(*time);
        for observed in self.0.values_mut() {
            observed.protocol_version.iter_mut().for_each(|(_, time)| turn(time));
            for list in observed.lists.values_mut() {
                turn(&mut list.seen);
                list.items.values_mut().flat_map(BTreeMap::values_mut).for_each(turn);
            }
            let private = observed.private_lists.values_mut().flat_map(BTreeMap::values_mut);
            private.for_each(|list| turn(&mut list.seen));
        }
        self
    }

    /// Hash of all definitions. It changes when one is added or removed, not when one is seen again. Empty
    /// without observations.
    #[must_use]
    pub fn hash(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut text = String::new();
        for (origin, observed) in &self.0 {
            observed.write_canonical(&mut text, origin);
        }
        content_hash(&text)
    }

    fn len(&self) -> usize {
        self.0.values().flat_map(|observed| observed.lists.values()).map(|list| list.items.len()).sum()
    }

    /// The catalog of an origin at this URL. Observations from another URL are discarded.
    fn entry(&mut self, origin: &str, url: &str) -> &mut ObservedCatalog {
        let observed = self.0.entry(origin.to_owned()).or_default();
        if observed.url != url {
            *observed = ObservedCatalog { url: url.to_owned(), ..ObservedCatalog::default() };
        }
        observed
    }
}

impl ObservedList {
    fn insert(&mut self, name: String, hash: String, at: i64, most: usize) -> bool {
        let known = self.items.contains_key(&name);
        if !known && (self.items.len() >= most || name.len() > MAX_NAME_LEN) {
            return false;
        }
        let variants = self.items.entry(name).or_default();
        if let Some(seen) = variants.get_mut(UNSTABLE_HASH) {
            *seen = at.max(*seen);
            return false;
        }
        let new = !variants.contains_key(&hash);
        let seen = variants.entry(hash).or_insert(at);
        *seen = at.max(*seen);
        if variants.len() > MAX_VARIANTS {
            *variants = [(UNSTABLE_HASH.to_owned(), at)].into();
        }
        new
    }

    /// Hash of the definitions.
    fn hash(&self) -> String {
        let mut text = String::new();
        self.write_canonical(&mut text);
        content_hash(&text)
    }

    fn write_canonical(&self, text: &mut String) {
        for (name, variants) in &self.items {
            write_part(text, name);
            variants.keys().for_each(|hash| write_part(text, hash));
        }
    }
}

/// Each part starts with its length, so different lists of parts give different texts.
fn write_part(text: &mut String, part: &str) {
    text.push_str(&part.len().to_string());
    text.push(' ');
    text.push_str(part);
}

impl ObservedCatalog {
    /// Endpoint that returned the definitions.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// MCP revision of the origin's last response.
    #[must_use]
    pub fn protocol_version(&self) -> Option<&str> {
        self.protocol_version.as_ref().map(|(version, _)| version.as_str())
    }

    /// The names in a list; `None` if no user was shown that list, or its names are private.
    #[must_use]
    pub fn names(&self, kind: ListKind) -> Option<BTreeSet<String>> {
        self.lists.get(&kind).map(|list| list.items.keys().cloned().collect())
    }

    /// The names in a list, if the origin declared it public when it was last seen.
    #[must_use]
    pub fn public_names(&self, kind: ListKind) -> Option<BTreeSet<String>> {
        let counted = self.private_lists.get(&kind).and_then(|it| it.values().map(|list| list.seen).max());
        let list = self.lists.get(&kind)?;
        let latest = counted.is_none_or(|counted| counted <= list.seen);
        (list.public && latest).then(|| list.items.keys().cloned().collect())
    }

    /// Number of names in a list. The names of a private list cannot be compared, so of several replicas the
    /// one that saw most counts.
    #[must_use]
    pub fn count(&self, kind: ListKind) -> usize {
        let named = self.lists.get(&kind).map_or(0, |list| list.items.len());
        let private = self.private_lists.get(&kind).into_iter().flat_map(BTreeMap::values);
        private.map(|list| list.count).fold(named, usize::max)
    }

    /// Whether no user was shown any list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.private_lists.is_empty()
    }

    /// Hash of all definitions and the MCP revision.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut text = String::new();
        self.write_canonical(&mut text, "");
        content_hash(&text)
    }

    fn write_canonical(&self, text: &mut String, origin: &str) {
        let version = self.protocol_version().unwrap_or_default();
        [origin, &self.url, version].into_iter().for_each(|part| write_part(text, part));
        for (kind, list) in &self.lists {
            write_part(text, kind.name());
            if list.public {
                write_part(text, "public");
            }
            list.write_canonical(text);
        }
        // Where names are known, counts of earlier reports add nothing.
        for (kind, hashes) in self.private_lists.iter().filter(|(kind, _)| !self.lists.contains_key(kind)) {
            write_part(text, "private");
            write_part(text, kind.name());
            hashes.keys().for_each(|hash| write_part(text, hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mcp.linear.app/mcp";

    fn definition(name: &str, text: &str) -> ObservedItem {
        ObservedItem::new(name, &format!(r#"{{"name":"{name}","description":"{text}"}}"#))
    }

    fn tools(seen: &mut ObservedCatalogs, names: &[&str], at: i64) -> bool {
        seen.record("o", URL, ListKind::Tools, names.iter().map(|name| definition(name, "")), at)
    }

    #[test]
    fn given_people_who_are_shown_different_lists_then_all_of_it_counts_and_the_hash_does_not_flip() {
        let mut seen = ObservedCatalogs::default();
        assert_eq!(seen.hash(), "");
        assert!(tools(&mut seen, &["a", "b"], 1));
        assert!(tools(&mut seen, &["b", "c"], 2));
        let hash = seen.hash();
        assert!(!tools(&mut seen, &["a", "b"], 3));
        assert_eq!(seen.hash(), hash);
        let observed = seen.get("o").unwrap();
        assert_eq!(observed.count(ListKind::Tools), 3);
        assert_eq!(observed.names(ListKind::Prompts), None, "no user was shown that list");
        assert!(seen.record("o", URL, ListKind::Prompts, [], 4), "an empty list is an observation");
        assert_eq!(seen.get("o").unwrap().names(ListKind::Prompts), Some(BTreeSet::new()));
    }

    #[test]
    fn given_what_nobody_was_shown_for_long_when_forgotten_then_the_rest_stays() {
        let mut seen = ObservedCatalogs::default();
        tools(&mut seen, &["a", "b"], 10);
        tools(&mut seen, &["b"], 20);
        assert!(seen.prune_before(15));
        assert!(!seen.prune_before(15));
        assert_eq!(seen.get("o").unwrap().names(ListKind::Tools), Some(["b".to_owned()].into()));
        assert!(seen.prune_before(21));
        assert_eq!(seen.get("o").unwrap().names(ListKind::Tools), None);
    }

    #[test]
    fn given_an_origin_that_moved_then_what_was_seen_elsewhere_says_nothing() {
        let mut seen = ObservedCatalogs::default();
        tools(&mut seen, &["a"], 1);
        assert!(seen.record("o", "https://other.example.com/mcp", ListKind::Tools, [definition("b", "")], 2));
        assert_eq!(seen.get("o").unwrap().names(ListKind::Tools), Some(["b".to_owned()].into()));
        seen.retain(|_, url| url == URL);
        assert_eq!(seen.get("o"), None);
    }

    #[test]
    fn given_a_definition_that_changes_then_the_hash_does_and_one_that_always_does_settles() {
        let mut seen = ObservedCatalogs::default();
        tools(&mut seen, &["a"], 1);
        let before = seen.get("o").unwrap().hash();
        for number in 0..MAX_VARIANTS {
            assert!(seen.record("o", URL, ListKind::Tools, [definition("a", &number.to_string())], 2));
        }
        let after = seen.get("o").unwrap().hash();
        assert_ne!(before, after);
        assert!(!seen.record("o", URL, ListKind::Tools, [definition("a", "yet another")], 3));
        assert_eq!(seen.get("o").unwrap().hash(), after);
        assert_eq!(seen.get("o").unwrap().count(ListKind::Tools), 1);
    }

    #[test]
    fn given_two_replicas_with_other_clocks_when_joined_by_age_then_times_are_those_of_the_joiner() {
        let mut theirs = ObservedCatalogs::default();
        tools(&mut theirs, &["a"], 1_000);
        theirs.record_protocol_version("o", URL, "2025-11-25", 1_500);
        let sent = serde_json::to_string(&theirs.swap_times_and_ages(2_000)).unwrap();
        let mut ours = ObservedCatalogs::default();
        tools(&mut ours, &["b"], 99_500);
        let received: ObservedCatalogs = serde_json::from_str(&sent).unwrap();
        assert!(ours.merge(received.clone().swap_times_and_ages(100_000)));
        assert!(!ours.merge(received.swap_times_and_ages(100_000)));
        assert_eq!(ours.get("o").unwrap().count(ListKind::Tools), 2);
        assert_eq!(ours.get("o").unwrap().protocol_version(), Some("2025-11-25"));
        assert!(ours.prune_before(99_200));
        assert_eq!(ours.get("o").unwrap().names(ListKind::Tools), Some(["b".to_owned()].into()));
    }

    /// What a replica reports of tools in a private catalog.
    fn counted(names: &[&str], at: i64) -> ObservedCatalogs {
        let mut seen = ObservedCatalogs::default();
        let items = names.iter().map(|name| definition(name, "").without_name());
        seen.record("o", URL, ListKind::Tools, items, at);
        seen.without_names()
    }

    #[test]
    fn given_a_private_catalog_when_it_is_reported_then_there_are_a_number_and_a_hash_and_no_names() {
        let report = counted(&["payroll", "whoami"], 5);
        let text = serde_json::to_string(&report).unwrap();
        for part in ["payroll", "whoami", &content_hash("payroll"), &definition("payroll", "").hash] {
            assert!(!text.contains(part), "{text}");
        }
        let read: ObservedCatalogs = serde_json::from_str(&text).unwrap();
        assert_eq!(read, report);
        let observed = read.get("o").unwrap();
        assert_eq!((observed.count(ListKind::Tools), observed.names(ListKind::Tools)), (2, None));
        assert!(!observed.is_empty());
        assert_ne!(observed.hash(), counted(&["payroll", "whoareyou"], 5).get("o").unwrap().hash());
    }

    #[test]
    fn given_replicas_that_saw_different_private_lists_when_merged_then_the_result_settles() {
        let mut ours = ObservedCatalogs::default();
        assert!(ours.merge(counted(&["a"], 1)));
        assert!(ours.merge(counted(&["a", "b"], 2)));
        let hash = ours.hash();
        assert!(!ours.merge(counted(&["a"], 3)) && !ours.merge(counted(&["b", "a"], 4)));
        assert_eq!((ours.get("o").unwrap().count(ListKind::Tools), ours.hash()), (2, hash));
        assert!(ours.prune_before(4));
        assert!(ours.prune_before(5) && ours.get("o").unwrap().is_empty());
        for number in 0..=MAX_PRIVATE_HASHES {
            ours.merge(counted(&[&number.to_string()], 6));
        }
        let hash = ours.hash();
        assert!(!ours.merge(counted(&["yet another"], 7)));
        assert_eq!((ours.get("o").unwrap().count(ListKind::Tools), ours.hash()), (1, hash));
    }

    #[test]
    fn given_names_in_a_private_catalog_then_only_those_in_a_list_that_is_still_public_remain() {
        let mut seen = ObservedCatalogs::default();
        tools(&mut seen, &["a"], 1);
        seen.record("o", URL, ListKind::Prompts, [definition("b", "")], 1);
        assert!(seen.declare_public("o", URL, ListKind::Prompts, true));
        let observed = seen.get("o").unwrap();
        assert_eq!(observed.public_names(ListKind::Tools), None);
        assert_eq!(observed.public_names(ListKind::Prompts), Some(["b".to_owned()].into()));
        let mut merged = ObservedCatalogs::default();
        assert!(merged.merge(seen.clone()));
        assert_eq!(merged, seen);
        seen.retain_names(|origin| origin != "o");
        assert_eq!(seen.get("o").unwrap().names(ListKind::Tools), None);
        assert!(seen.get("o").unwrap().names(ListKind::Prompts).is_some());
        // A replica that saw the list as private later.
        let prompts = ("o", URL, ListKind::Prompts);
        let later = PrivateList { seen: 2, count: 1 };
        assert!(seen.record_private(prompts.0, prompts.1, prompts.2, "hash".into(), later));
        assert_eq!(seen.get("o").unwrap().public_names(ListKind::Prompts), None);
    }

    #[test]
    fn given_a_list_without_end_then_it_is_bounded() {
        let mut seen = ObservedCatalogs::default();
        let items = (0..MAX_ITEMS_PER_LIST + 10).map(|number| definition(&number.to_string(), ""));
        seen.record("o", URL, ListKind::Tools, items, 1);
        assert_eq!(seen.get("o").unwrap().count(ListKind::Tools), MAX_ITEMS_PER_LIST);
        for origin in 0..20 {
            let items = (0..MAX_ITEMS_PER_LIST).map(|number| definition(&number.to_string(), ""));
            seen.record(&origin.to_string(), URL, ListKind::Tools, items, 1);
        }
        assert_eq!(seen.len(), MAX_ITEMS_TOTAL);
        assert!(!seen.record("o", URL, ListKind::Tools, [definition(&"x".repeat(MAX_NAME_LEN + 1), "")], 1));
    }
}
