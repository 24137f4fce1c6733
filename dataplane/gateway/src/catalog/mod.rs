//! Observed catalogs: the capabilities that origins offer, learned from relayed responses. They hold
//! definitions, never user data.
//!
//! A catalog serves users who have not connected an account at the origin, and its templates decide which
//! URIs may be read. In a cluster, the operator reads the observed catalogs. A catalog is bound to the
//! origin's URL: if the URL changes, it is learned again.

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

/// Minimum time between two updates of a section: lists are large and change rarely.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// An unchanged list is stored again at this interval to update its observation time. Observations expire
/// after days, so this is precise enough.
const RESAVE_INTERVAL: Duration = Duration::from_secs(3600);

/// Observations older than this are no longer reported.
const OBSERVATION_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Maximum number of items of a list. Longer lists are user data, or an attack on memory.
const MAX_LIST_ITEMS: usize = 5_000;

/// Maximum number of templates of an origin, because each URI is matched against every template.
const MAX_TEMPLATES: usize = 1_000;

/// URI templates of one origin.
pub(crate) type UriTemplates = Arc<[Box<str>]>;

/// One section of an origin's catalog: the items of a list, or one document.
#[derive(Clone)]
struct CachedSection {
    items: Arc<[Box<RawValue>]>,
    learned_at: UnixMillis,
    saved_at: UnixMillis,
}

/// The catalog of one origin.
struct OriginCatalog {
    url: Box<str>,
    sections: HashMap<CatalogSection, CachedSection>,
    /// URI templates, parsed from the items once.
    templates: UriTemplates,
}

/// Catalogs of all origins. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalogs(Arc<Inner>);

struct Inner {
    origins: RwLock<HashMap<Arc<str>, OriginCatalog>>,
    observed: Mutex<ObservationState>,
    store: Store,
    clock: Clock,
}

/// Observations for the operator.
#[derive(Default)]
struct ObservationState {
    observations: ObservedCatalogs,
    hash: String,
    changed: bool,
}

impl Catalogs {
    /// Loads the catalogs that earlier processes have stored.
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
                    let section =
                        CachedSection { items: items.into(), learned_at: UnixMillis(0), saved_at: seen };
                    catalogs.insert_section(&Arc::from(origin_uid), &origin_url, part, section);
                }
                Err(error) => {
                    tracing::warn!(%error, origin_uid, kind, "failed to parse stored catalog; it will be learned again")
                }
            }
        }
        Ok(catalogs)
    }

    /// Whether a response should update this section.
    pub(crate) fn needs_refresh(&self, origin: &Origin, part: CatalogSection) -> bool {
        self.section(origin, part)
            .is_none_or(|section| self.0.clock.now().since(section.learned_at) >= REFRESH_INTERVAL)
    }

    /// Learns a page of a list. A page that continues a list is added to the known items.
    pub(crate) fn learn<'a>(
        &self,
        origin: &Origin,
        part: CatalogSection,
        page: impl IntoIterator<Item = &'a str>,
        continues: bool,
    ) {
        let known = self.section(origin, part);
        let old: &[Box<RawValue>] = known.as_ref().map(|section| &*section.items).unwrap_or_default();
        let before: &[Box<RawValue>] = if continues { old } else { &[] };
        let mut items = before.to_vec();
        let mut seen: HashSet<&str> = before.iter().map(|item| item.get()).collect();
        for item in page.into_iter().take(MAX_LIST_ITEMS.saturating_sub(items.len())) {
            // Items of a parsed list are valid JSON. Invalid ones would be ignored.
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
        let section = CachedSection { items: items.into(), learned_at: now, saved_at: noted.unwrap_or(now) };
        self.insert_section(&origin.uid, origin.url.as_str(), part, section);
    }

    /// The items of a list, or the document of another section; `None` if nothing has been observed.
    pub(crate) fn items(&self, origin: &Origin, part: CatalogSection) -> Option<Arc<[Box<RawValue>]>> {
        self.section(origin, part).map(|section| section.items)
    }

    /// URI templates that the origin has listed.
    pub(crate) fn templates(&self, origin: &Origin) -> UriTemplates {
        let known = self.0.origins.read();
        let known = known.get(&origin.uid).filter(|known| *known.url == *origin.url.as_str());
        known.map(|known| Arc::clone(&known.templates)).unwrap_or_default()
    }

    /// The observations, with ages instead of times.
    pub(crate) fn observations(&self) -> ObservedCatalogs {
        let now = self.0.clock.now().0;
        self.0.observed.lock().observations.clone().swap_times_and_ages(now)
    }

    /// Hash of the observations. It changes when they change.
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

    fn insert_section(&self, origin: &Arc<str>, url: &str, part: CatalogSection, section: CachedSection) {
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
            let items = section.items.iter();
            known.templates = items
                .filter_map(|item| serde_json::from_str::<Template>(item.get()).ok())
                .map(|item| item.uri_template)
                .take(MAX_TEMPLATES)
                .collect();
        }
        known.sections.insert(part, section);
    }

    /// Records an observation for the operator.
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

    /// Stores a section in the background, so requests do not wait for the store.
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
                tracing::warn!(%error, kind = row.kind, "failed to store catalog of origin");
            }
        });
    }
}
