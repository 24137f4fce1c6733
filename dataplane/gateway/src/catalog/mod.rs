//! What origins have been seen to offer, learned from the answers that pass: definitions, never a user's data. It answers for an
//! origin whose user has not connected an account yet, tells which URIs a template can lead to, and in a cluster tells the operator
//! what people were shown.
//!
//! What an origin offers is bound to its URL: one that is moved is learned anew.

#[cfg(test)]
mod golden;
mod section;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use portcullis_clock::{Clock, UnixMillis};
use portcullis_config_distribution::ObservedCatalogs;
use portcullis_policy::Origin;
use portcullis_store::{CatalogRow, Store, StoreError};
use serde_json::value::RawValue;

pub(crate) use section::CatalogSection;

/// What has just been learned is not looked at again for so long: lists are large and change rarely.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// A list that has not changed is noted as seen so often. Whoever forgets what nobody sees thinks in days.
const RESAVE_INTERVAL: Duration = Duration::from_secs(3600);

/// What nobody has been shown for this long is not told of any more.
const OBSERVATION_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// A catalog with more items than this is somebody's data, or an attack on memory.
const MAX_LIST_ITEMS: usize = 5_000;

/// A URI is held against each template, so more than this do not count.
const MAX_TEMPLATES: usize = 1_000;

/// URI templates.
pub(crate) type UriTemplates = Arc<[Box<str>]>;

/// One part of one origin's catalog: its items, or one document.
#[derive(Clone)]
struct CachedSection {
    items: Arc<[Box<RawValue>]>,
    learned_at: UnixMillis,
    saved_at: UnixMillis,
}

/// One origin's catalog.
struct OriginCatalog {
    url: Box<str>,
    sections: HashMap<CatalogSection, CachedSection>,
    /// URI templates, read out of their items once.
    templates: UriTemplates,
}

/// All catalogs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalogs(Arc<Inner>);

struct Inner {
    origins: RwLock<HashMap<Arc<str>, OriginCatalog>>,
    observed: Mutex<ObservationState>,
    store: Store,
    clock: Clock,
}

/// What people were shown.
#[derive(Default)]
struct ObservationState {
    observations: ObservedCatalogs,
    hash: String,
    changed: bool,
}

impl Catalogs {
    /// What earlier processes have learned.
    pub(crate) async fn load(store: Store, clock: Clock) -> Result<Self, StoreError> {
        let catalogs =
            Self(Arc::new(Inner { origins: RwLock::default(), observed: Mutex::default(), store, clock }));
        for CatalogRow { origin_uid, origin_url, kind, document, observed_at } in
            catalogs.0.store.catalogs().await?
        {
            let Some(part) = CatalogSection::from_name(&kind) else { continue };
            match serde_json::from_str::<Vec<Box<RawValue>>>(&document) {
                Ok(items) => {
                    let seen = UnixMillis(observed_at);
                    catalogs.observe(&origin_uid, &origin_url, part, &items, seen);
                    let shelf =
                        CachedSection { items: items.into(), learned_at: UnixMillis(0), saved_at: seen };
                    catalogs.insert_section(&Arc::from(origin_uid), &origin_url, part, shelf);
                }
                Err(error) => {
                    tracing::warn!(%error, origin_uid, kind, "a stored catalog cannot be read; it will be learned anew")
                }
            }
        }
        Ok(catalogs)
    }

    /// Whether an answer about this part is worth a look.
    pub(crate) fn needs_refresh(&self, origin: &Origin, part: CatalogSection) -> bool {
        self.section(origin, part)
            .is_none_or(|shelf| self.0.clock.now().since(shelf.learned_at) >= REFRESH_INTERVAL)
    }

    /// Learns a list's page; one that continues another is added to what is known.
    pub(crate) fn learn<'a>(
        &self,
        origin: &Origin,
        part: CatalogSection,
        page: impl IntoIterator<Item = &'a str>,
        continues: bool,
    ) {
        let known = self.section(origin, part);
        let old: &[Box<RawValue>] = known.as_ref().map(|shelf| &*shelf.items).unwrap_or_default();
        let before: &[Box<RawValue>] = if continues { old } else { &[] };
        let mut items = before.to_vec();
        let mut seen: HashSet<&str> = before.iter().map(|item| item.get()).collect();
        for item in page.into_iter().take(MAX_LIST_ITEMS.saturating_sub(items.len())) {
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
        let noted = known
            .as_ref()
            .map(|known| known.saved_at)
            .filter(|noted| same && now.since(*noted) < RESAVE_INTERVAL);
        if noted.is_none() {
            self.observe(&origin.uid, origin.url.as_str(), part, &items, now);
            self.save(origin, part, &items, now);
        }
        let shelf = CachedSection { items: items.into(), learned_at: now, saved_at: noted.unwrap_or(now) };
        self.insert_section(&origin.uid, origin.url.as_str(), part, shelf);
    }

    /// The items of a list, or the one document of the other parts; `None` where nothing has been seen.
    pub(crate) fn items(&self, origin: &Origin, part: CatalogSection) -> Option<Arc<[Box<RawValue>]>> {
        self.section(origin, part).map(|shelf| shelf.items)
    }

    /// URI templates that the origin has been seen to list.
    pub(crate) fn templates(&self, origin: &Origin) -> UriTemplates {
        let known = self.0.origins.read();
        let known = known.get(&origin.uid).filter(|known| *known.url == *origin.url.as_str());
        known.map(|known| Arc::clone(&known.templates)).unwrap_or_default()
    }

    /// What people were shown, each with its age.
    pub(crate) fn observations(&self) -> ObservedCatalogs {
        let now = self.0.clock.now().0;
        self.0.observed.lock().observations.clone().swap_times_and_ages(now)
    }

    /// Changes with what people were shown.
    pub(crate) fn observations_hash(&self) -> String {
        let mut shown = self.0.observed.lock();
        if std::mem::take(&mut shown.changed) {
            shown.hash = shown.observations.hash();
        }
        shown.hash.clone()
    }

    fn section(&self, origin: &Origin, part: CatalogSection) -> Option<CachedSection> {
        let known = self.0.origins.read();
        let known = known.get(&origin.uid).filter(|known| *known.url == *origin.url.as_str())?;
        known.sections.get(&part).cloned()
    }

    fn insert_section(&self, origin: &Arc<str>, url: &str, part: CatalogSection, shelf: CachedSection) {
        let nothing = || OriginCatalog {
            url: url.into(),
            sections: HashMap::new(),
            templates: UriTemplates::default(),
        };
        let mut known = self.0.origins.write();
        let known = known.entry(Arc::clone(origin)).or_insert_with(nothing);
        if *known.url != *url {
            *known = nothing();
        }
        if part == CatalogSection::Templates {
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
        known.sections.insert(part, shelf);
    }

    /// Somebody was shown this.
    fn observe(
        &self,
        origin: &str,
        url: &str,
        part: CatalogSection,
        items: &[Box<RawValue>],
        at: UnixMillis,
    ) {
        let mut shown = self.0.observed.lock();
        let mut changed = match part.list_kind() {
            Some(kind) => {
                let items = items.iter().filter_map(|item| section::definition(kind, item.get()));
                shown.observations.record(origin, url, kind, items, at.0)
            }
            None => {
                let version = items.first().and_then(|greeting| section::protocol_version(greeting.get()));
                version.is_some_and(|version| {
                    shown.observations.record_protocol_version(origin, url, &version, at.0)
                })
            }
        };
        let old = i64::try_from(OBSERVATION_TTL.as_millis()).unwrap_or(i64::MAX);
        changed |= shown.observations.prune_before(self.0.clock.now().0.saturating_sub(old));
        shown.changed |= changed;
    }

    /// Off the request's way: nobody waits for the disk.
    fn save(&self, origin: &Origin, part: CatalogSection, items: &[Box<RawValue>], now: UnixMillis) {
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
