use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::content_hash;

/// A list with more items than this is somebody's data, or an attack on memory.
const MAX_ITEMS_PER_LIST: usize = 5_000;
/// Of all origins together.
const MAX_ITEMS_TOTAL: usize = 50_000;
/// No longer name is kept; MCP recommends 128 characters at most, and URI templates are names here.
const MAX_NAME_LEN: usize = 512;
/// A name with more definitions than these has one that differs from person to person or from call to call.
const MAX_VARIANTS: usize = 4;
/// What stands for them then.
const UNSTABLE_HASH: &str = "varies";

/// A list of definitions. Resources are no such list: they are people's data.
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

/// What people have been shown of origins, by the origins' UIDs: which definitions, and when each was last seen. Lists may differ
/// from person to person, so they are joined definition by definition: what anybody was shown counts until nobody has been shown it
/// for long. Never what is in a resource, nor who saw what.
///
/// Times are milliseconds of one machine's clock; between machines travel ages ([`aged`](Self::aged)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObservedCatalogs(BTreeMap<String, ObservedCatalog>);

/// What people have been shown of one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedCatalog {
    /// The endpoint that showed it.
    url: String,
    /// The MCP revision that it answered with last, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol_version: Option<(String, i64)>,
    lists: BTreeMap<ListKind, ObservedList>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObservedList {
    seen: i64,
    /// Name -> hash of its definition -> when.
    items: BTreeMap<String, BTreeMap<String, i64>>,
}

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedItem {
    /// What it is called.
    pub name: String,
    /// Of its JSON text.
    hash: String,
}

impl ObservedItem {
    /// An item of this name and JSON text.
    #[must_use]
    pub fn new(name: &str, json: &str) -> Self {
        let hash = Sha256::digest(json).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { name: name.to_owned(), hash }
    }
}

impl ObservedCatalogs {
    /// Somebody was shown these items of this list. Whether anything of it is new.
    pub fn record(
        &mut self,
        origin: &str,
        url: &str,
        kind: ListKind,
        items: impl IntoIterator<Item = ObservedItem>,
        at: i64,
    ) -> bool {
        let room = MAX_ITEMS_TOTAL.saturating_sub(self.len());
        let list = self.entry(origin, url).lists.entry(kind);
        let mut new = matches!(list, std::collections::btree_map::Entry::Vacant(_));
        let list = list.or_default();
        list.seen = list.seen.max(at);
        let most = MAX_ITEMS_PER_LIST.min(list.items.len().saturating_add(room));
        for ObservedItem { name, hash } in items {
            new |= list.insert(name, hash, at, most);
        }
        new
    }

    /// An origin has answered with this revision of MCP. Whether that is new.
    pub fn record_protocol_version(&mut self, origin: &str, url: &str, version: &str, at: i64) -> bool {
        let known = &mut self.entry(origin, url).protocol_version;
        if known.as_ref().is_some_and(|(_, seen)| *seen > at) {
            return false;
        }
        let new = known.as_ref().is_none_or(|(known, _)| known != version);
        *known = Some((version.to_owned(), at));
        new
    }

    /// Joins what another has seen, with the same clock. Whether anything of it is new.
    pub fn merge(&mut self, other: Self) -> bool {
        let mut new = false;
        for (origin, observed) in other.0 {
            let ObservedCatalog { url, protocol_version, lists } = observed;
            if let Some((version, at)) = protocol_version {
                new |= self.record_protocol_version(&origin, &url, &version, at);
            }
            for (kind, ObservedList { seen, items }) in lists {
                new |= self.record(&origin, &url, kind, [], seen);
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

    /// Forgets what was last seen before this time. Whether there was such.
    pub fn prune_before(&mut self, time: i64) -> bool {
        let mut gone = false;
        for observed in self.0.values_mut() {
            for list in observed.lists.values_mut() {
                list.items.retain(|_, variants| {
                    let before = variants.len();
                    variants.retain(|_, seen| *seen >= time);
                    gone |= variants.len() != before;
                    !variants.is_empty()
                });
            }
            let before = observed.lists.len();
            observed.lists.retain(|_, list| list.seen >= time);
            gone |= observed.lists.len() != before;
        }
        gone
    }

    /// Forgets origins that are gone, or are elsewhere than they were.
    pub fn retain(&mut self, mut is_there: impl FnMut(&str, &str) -> bool) {
        self.0.retain(|origin, observed| is_there(origin, &observed.url));
    }

    /// What has been seen of an origin.
    #[must_use]
    pub fn get(&self, origin: &str) -> Option<&ObservedCatalog> {
        self.0.get(origin)
    }

    /// The same with each time's distance from `now` in its place: times become ages, and ages times.
    #[must_use]
    pub fn swap_times_and_ages(mut self, now: i64) -> Self {
        let turn = |time: &mut i64| *time = now.saturating_sub(*time);
        for observed in self.0.values_mut() {
            observed.protocol_version.iter_mut().for_each(|(_, time)| turn(time));
            for list in observed.lists.values_mut() {
                turn(&mut list.seen);
                list.items.values_mut().flat_map(BTreeMap::values_mut).for_each(turn);
            }
        }
        self
    }

    /// Changes when anything new is seen or something is forgotten, not when it is seen again. Empty where nothing has been seen.
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

    /// Of this origin at this place: what was seen elsewhere says nothing here.
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
}

impl ObservedCatalog {
    /// Where it was seen.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The MCP revision that the origin answered with last.
    #[must_use]
    pub fn protocol_version(&self) -> Option<&str> {
        self.protocol_version.as_ref().map(|(version, _)| version.as_str())
    }

    /// The names in a list; `None` where nobody has been shown that list.
    #[must_use]
    pub fn names(&self, kind: ListKind) -> Option<BTreeSet<String>> {
        self.lists.get(&kind).map(|list| list.items.keys().cloned().collect())
    }

    /// How many names there are in a list.
    #[must_use]
    pub fn count(&self, kind: ListKind) -> usize {
        self.lists.get(&kind).map_or(0, |list| list.items.len())
    }

    /// Whether anybody has been shown any list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Changes with any definition.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut text = String::new();
        self.write_canonical(&mut text, "");
        content_hash(&text)
    }

    fn write_canonical(&self, text: &mut String, origin: &str) {
        let version = self.protocol_version().unwrap_or_default();
        let mut part = |part: &str| {
            // With its length before it, so that no two lists of parts read the same.
            text.push_str(&part.len().to_string());
            text.push(' ');
            text.push_str(part);
        };
        [origin, &self.url, version].into_iter().for_each(&mut part);
        for (kind, list) in &self.lists {
            part(match kind {
                ListKind::Tools => "tools",
                ListKind::Prompts => "prompts",
                ListKind::ResourceTemplates => "resourceTemplates",
            });
            for (name, variants) in &list.items {
                part(name);
                variants.keys().for_each(|hash| part(hash));
            }
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
        assert_eq!(observed.names(ListKind::Prompts), None, "nobody was shown that list");
        assert!(seen.record("o", URL, ListKind::Prompts, [], 4), "an empty list is something to know");
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
