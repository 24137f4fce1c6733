//! What origins have been seen to offer, learned from the answers that pass: definitions, never a user's data. It answers for an
//! origin whose user has not connected an account yet, tells which URIs a template can lead to, and in a cluster tells the operator
//! what people were shown.
//!
//! What an origin offers is bound to its URL: one that is moved is learned anew.

#[cfg(test)]
mod golden;
mod part;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use portcullis_ambient::{Clock, Instant};
use portcullis_policy::Origin;
use portcullis_publication::Observations;
use portcullis_store::{CatalogRow, Store, StoreError};
use serde_json::value::RawValue;

pub(crate) use part::Part;

/// What has just been learned is not looked at again for so long: lists are large and change rarely.
const FRESH: Duration = Duration::from_secs(5);

/// A list that has not changed is noted as seen so often. Whoever forgets what nobody sees thinks in days.
const NOTED: Duration = Duration::from_secs(3600);

/// What nobody has been shown for this long is not told of any more.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// A catalog with more items than this is somebody's data, or an attack on memory.
const MAX_ITEMS: usize = 5_000;

/// A URI is held against each template, so more than this do not count.
const MAX_TEMPLATES: usize = 1_000;

/// URI templates.
pub(crate) type Templates = Arc<[Box<str>]>;

/// One part of one origin's catalog: its items, or one document.
#[derive(Clone)]
struct Shelf {
    items: Arc<[Box<RawValue>]>,
    seen: Instant,
    noted: Instant,
}

/// One origin's catalog.
struct Known {
    url: Box<str>,
    shelves: HashMap<Part, Shelf>,
    /// URI templates, read out of their items once.
    templates: Templates,
}

/// All catalogs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalogs(Arc<Inner>);

struct Inner {
    known: RwLock<HashMap<Arc<str>, Known>>,
    shown: Mutex<Shown>,
    store: Store,
    clock: Clock,
}

/// What people were shown.
#[derive(Default)]
struct Shown {
    observations: Observations,
    hash: String,
    changed: bool,
}

impl Catalogs {
    /// What earlier processes have learned.
    pub(crate) async fn load(store: Store, clock: Clock) -> Result<Self, StoreError> {
        let catalogs =
            Self(Arc::new(Inner { known: RwLock::default(), shown: Mutex::default(), store, clock }));
        for CatalogRow { origin_uid, origin_url, kind, document, observed_at } in
            catalogs.0.store.catalogs().await?
        {
            let Some(part) = Part::named(&kind) else { continue };
            match serde_json::from_str::<Vec<Box<RawValue>>>(&document) {
                Ok(items) => {
                    let seen = Instant(observed_at);
                    catalogs.note(&origin_uid, &origin_url, part, &items, seen);
                    let shelf = Shelf { items: items.into(), seen: Instant(0), noted: seen };
                    catalogs.shelve(&Arc::from(origin_uid), &origin_url, part, shelf);
                }
                Err(error) => {
                    tracing::warn!(%error, origin_uid, kind, "a stored catalog cannot be read; it will be learned anew")
                }
            }
        }
        Ok(catalogs)
    }

    /// Whether an answer about this part is worth a look.
    pub(crate) fn wants(&self, origin: &Origin, part: Part) -> bool {
        self.shelf(origin, part).is_none_or(|shelf| self.0.clock.now().since(shelf.seen) >= FRESH)
    }

    /// Learns a list's page; one that continues another is added to what is known.
    pub(crate) fn learn<'a>(
        &self,
        origin: &Origin,
        part: Part,
        page: impl IntoIterator<Item = &'a str>,
        continues: bool,
    ) {
        let known = self.shelf(origin, part);
        let old: &[Box<RawValue>] = known.as_ref().map(|shelf| &*shelf.items).unwrap_or_default();
        let before: &[Box<RawValue>] = if continues { old } else { &[] };
        let mut items = before.to_vec();
        let mut seen: HashSet<&str> = before.iter().map(|item| item.get()).collect();
        for item in page.into_iter().take(MAX_ITEMS.saturating_sub(items.len())) {
            // What the reading of a list found is JSON; should it not be, it is nothing to learn from.
            if let (true, Ok(item)) =
                (!continues || seen.insert(item), RawValue::from_string(item.to_owned()))
            {
                items.push(item);
            }
        }
        let same = known.as_ref().is_some_and(|known| {
            known.items.len() == items.len()
                && known.items.iter().zip(&items).all(|(old, new)| old.get() == new.get())
        });
        let now = self.0.clock.now();
        let noted = known.as_ref().map(|known| known.noted).filter(|noted| same && now.since(*noted) < NOTED);
        if noted.is_none() {
            self.note(&origin.uid, origin.url.as_str(), part, &items, now);
            self.keep(origin, part, &items, now);
        }
        let shelf = Shelf { items: items.into(), seen: now, noted: noted.unwrap_or(now) };
        self.shelve(&origin.uid, origin.url.as_str(), part, shelf);
    }

    /// The items of a list, or the one document of the other parts; `None` where nothing has been seen.
    pub(crate) fn items(&self, origin: &Origin, part: Part) -> Option<Arc<[Box<RawValue>]>> {
        self.shelf(origin, part).map(|shelf| shelf.items)
    }

    /// URI templates that the origin has been seen to list.
    pub(crate) fn templates(&self, origin: &Origin) -> Templates {
        let known = self.0.known.read();
        let known = known.get(&origin.uid).filter(|known| *known.url == *origin.url.as_str());
        known.map(|known| Arc::clone(&known.templates)).unwrap_or_default()
    }

    /// What people were shown, each with its age.
    pub(crate) fn shown(&self) -> Observations {
        let now = self.0.clock.now().0;
        self.0.shown.lock().observations.clone().aged(now)
    }

    /// Changes with what people were shown.
    pub(crate) fn hash(&self) -> String {
        let mut shown = self.0.shown.lock();
        if std::mem::take(&mut shown.changed) {
            shown.hash = shown.observations.hash();
        }
        shown.hash.clone()
    }

    fn shelf(&self, origin: &Origin, part: Part) -> Option<Shelf> {
        let known = self.0.known.read();
        let known = known.get(&origin.uid).filter(|known| *known.url == *origin.url.as_str())?;
        known.shelves.get(&part).cloned()
    }

    fn shelve(&self, origin: &Arc<str>, url: &str, part: Part, shelf: Shelf) {
        let nothing = || Known { url: url.into(), shelves: HashMap::new(), templates: Templates::default() };
        let mut known = self.0.known.write();
        let known = known.entry(Arc::clone(origin)).or_insert_with(nothing);
        if *known.url != *url {
            *known = nothing();
        }
        if part == Part::Templates {
            #[derive(serde::Deserialize)]
            struct Template {
                #[serde(rename = "uriTemplate")]
                uri_template: Box<str>,
            }
            let items = shelf.items.iter();
            known.templates = items
                .filter_map(|item| serde_json::from_str::<Template>(item.get()).ok())
                .map(|item| item.uri_template)
                .take(MAX_TEMPLATES)
                .collect();
        }
        known.shelves.insert(part, shelf);
    }

    /// Somebody was shown this.
    fn note(&self, origin: &str, url: &str, part: Part, items: &[Box<RawValue>], at: Instant) {
        let mut shown = self.0.shown.lock();
        let mut changed = match part.list() {
            Some(kind) => {
                let items = items.iter().filter_map(|item| part::definition(kind, item.get()));
                shown.observations.see(origin, url, kind, items, at.0)
            }
            None => {
                let version = items.first().and_then(|greeting| part::protocol_version(greeting.get()));
                version.is_some_and(|version| shown.observations.speaks(origin, url, &version, at.0))
            }
        };
        let old = i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX);
        changed |= shown.observations.forget_before(self.0.clock.now().0.saturating_sub(old));
        shown.changed |= changed;
    }

    /// Off the request's way: nobody waits for the disk.
    fn keep(&self, origin: &Origin, part: Part, items: &[Box<RawValue>], now: Instant) {
        let Ok(document) = serde_json::to_string(items) else { return };
        let row = CatalogRow {
            origin_uid: origin.uid.to_string(),
            origin_url: origin.url.to_string(),
            kind: part.name().to_owned(),
            document,
            observed_at: now.0,
        };
        let store = self.0.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.put_catalog(&row).await {
                tracing::warn!(%error, kind = row.kind, "an origin's catalog could not be stored");
            }
        });
    }
}
