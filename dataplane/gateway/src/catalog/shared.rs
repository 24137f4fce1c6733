//! Shared catalogs: sections that every user of an origin may see.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::RwLock;
use portcullis_clock::UnixMillis;
use portcullis_policy::Origin;
use portcullis_store::{CatalogRow, Store};
use serde_json::value::RawValue;

use super::sharing::SharingBasis;
use super::{CatalogSection, RESAVE_INTERVAL};

/// Maximum number of items of a list. Longer lists are user data, or an attack on memory.
const MAX_LIST_ITEMS: usize = 5_000;

/// The items of a list, or one document.
pub(super) type Items = Arc<[Box<RawValue>]>;

/// One section of an origin's shared catalog.
#[derive(Clone)]
pub(super) struct SharedSection {
    pub(super) items: Items,
    pub(super) basis: SharingBasis,
    /// When it was last stored.
    pub(super) saved_at: UnixMillis,
}

impl SharedSection {
    /// The items of this section, if it may still be shown.
    fn visible_items(&self, origin: &Origin) -> Option<&Items> {
        self.basis.holds(origin).then_some(&self.items)
    }

    fn has_same_content(&self, items: &[Box<RawValue>], basis: SharingBasis) -> bool {
        self.basis == basis
            && self.items.len() == items.len()
            && self.items.iter().zip(items).all(|(old, new)| old.get() == new.get())
    }
}

/// The catalog of one origin.
struct OriginCatalog {
    url: Box<str>,
    sections: HashMap<CatalogSection, SharedSection>,
    /// When each section was last learned, private ones included.
    learned_at: HashMap<CatalogSection, UnixMillis>,
}

impl OriginCatalog {
    fn new(url: &str) -> Self {
        Self { url: url.into(), sections: HashMap::new(), learned_at: HashMap::new() }
    }
}

/// A page of a list, or one document.
pub(super) struct SharedPage {
    pub(super) items: Vec<Box<RawValue>>,
    pub(super) basis: SharingBasis,
    /// Whether it continues a list.
    pub(super) continues: bool,
}

/// A section after learning.
pub(super) struct Learned {
    pub(super) items: Items,
    pub(super) basis: SharingBasis,
    /// Whether it differs from what is stored, or was stored long ago.
    pub(super) is_due: bool,
}

/// Shared catalogs of all origins. Cheap to clone.
#[derive(Clone)]
pub(super) struct SharedCatalogs(Arc<Inner>);

struct Inner {
    origins: RwLock<HashMap<Arc<str>, OriginCatalog>>,
    store: Store,
    /// Serializes writes, so the store ends with the latest state.
    writing: tokio::sync::Mutex<()>,
}

impl SharedCatalogs {
    pub(super) fn new(store: Store) -> Self {
        let inner = Inner { origins: RwLock::default(), store, writing: tokio::sync::Mutex::default() };
        Self(Arc::new(inner))
    }

    /// The items of a section; `None` if nothing is known that every user may see.
    pub(super) fn items(&self, origin: &Origin, part: CatalogSection) -> Option<Items> {
        let known = self.0.origins.read();
        let known = known.get(&origin.uid).filter(|known| *known.url == *origin.url.as_str())?;
        known.sections.get(&part)?.visible_items(origin).cloned()
    }

    /// When a response last updated this section, private ones included.
    pub(super) fn learned_at(&self, origin: &Origin, part: CatalogSection) -> Option<UnixMillis> {
        let known = self.0.origins.read();
        let known = known.get(&origin.uid).filter(|known| *known.url == *origin.url.as_str())?;
        known.learned_at.get(&part).copied()
    }

    /// Adds a section that an earlier process stored.
    pub(super) fn restore(&self, origin: Arc<str>, url: &str, part: CatalogSection, section: SharedSection) {
        let mut known = self.0.origins.write();
        let known = known.entry(origin).or_insert_with(|| OriginCatalog::new(url));
        if *known.url == *url {
            known.sections.insert(part, section);
        }
    }

    /// Learns a page of a section. A page that continues a list is added to the items of the pages before.
    /// `None` if they are not known.
    pub(super) fn learn(
        &self,
        origin: &Origin,
        part: CatalogSection,
        page: SharedPage,
        now: UnixMillis,
    ) -> Option<Learned> {
        let mut known = self.0.origins.write();
        let known = entry(&mut known, origin);
        known.learned_at.insert(part, now);
        let old = known.sections.get(&part).filter(|old| old.basis.holds(origin)).cloned();
        let (items, basis) = match &old {
            None if page.continues => return None,
            Some(old) if page.continues => (extended(&old.items, &page.items), old.basis.and(page.basis)),
            _ => (page.items.into_iter().take(MAX_LIST_ITEMS).collect(), page.basis),
        };
        let stored = old
            .filter(|old| old.has_same_content(&items, basis) && now.since(old.saved_at) < RESAVE_INTERVAL);
        let items: Items = items.into();
        let saved_at = stored.as_ref().map_or(now, |old| old.saved_at);
        known.sections.insert(part, SharedSection { items: Arc::clone(&items), basis, saved_at });
        Some(Learned { items, basis, is_due: stored.is_none() })
    }

    /// Forgets a section, because the origin showed it to a user as private. Returns whether it was known.
    pub(super) fn withdraw(&self, origin: &Origin, part: CatalogSection, now: UnixMillis) -> bool {
        let mut known = self.0.origins.write();
        let known = entry(&mut known, origin);
        known.learned_at.insert(part, now);
        known.sections.remove(&part).is_some()
    }

    /// Stores or deletes the current state of a section in the background, so requests do not wait for the
    /// store.
    pub(super) fn save(&self, origin: &Origin, part: CatalogSection) {
        let (catalogs, uid) = (self.clone(), Arc::clone(&origin.uid));
        tokio::spawn(async move {
            let _turn = catalogs.0.writing.lock().await;
            let saved = match catalogs.row(&uid, part) {
                Some(row) => catalogs.0.store.put_catalog(&row).await,
                None => catalogs.0.store.remove_catalog(&uid, part.name()).await,
            };
            if let Err(error) = saved {
                tracing::warn!(%error, kind = part.name(), "failed to store catalog of origin");
            }
        });
    }

    fn row(&self, uid: &Arc<str>, part: CatalogSection) -> Option<CatalogRow> {
        let known = self.0.origins.read();
        let known = known.get(uid)?;
        let section = known.sections.get(&part)?;
        Some(CatalogRow {
            origin_uid: uid.to_string(),
            origin_url: known.url.to_string(),
            kind: part.name().to_owned(),
            basis: section.basis.name().to_owned(),
            document: serde_json::to_string(&section.items).ok()?,
            observed_at: section.saved_at.0,
        })
    }
}

/// The catalog of an origin. If the URL has changed, it is learned again.
fn entry<'a>(known: &'a mut HashMap<Arc<str>, OriginCatalog>, origin: &Origin) -> &'a mut OriginCatalog {
    let url = origin.url.as_str();
    let known = known.entry(Arc::clone(&origin.uid)).or_insert_with(|| OriginCatalog::new(url));
    if *known.url != *url {
        *known = OriginCatalog::new(url);
    }
    known
}

/// A list with another page.
fn extended(before: &[Box<RawValue>], page: &[Box<RawValue>]) -> Vec<Box<RawValue>> {
    let mut seen: HashSet<&str> = before.iter().map(|item| item.get()).collect();
    let new: Vec<_> = page.iter().filter(|item| seen.insert(item.get())).collect();
    before.iter().chain(new).take(MAX_LIST_ITEMS).cloned().collect()
}
