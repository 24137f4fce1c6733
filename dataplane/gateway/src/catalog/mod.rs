//! Observed catalogs: the capabilities that origins offer, learned from relayed responses. They hold
//! definitions, never user data.
//!
//! ```text
//! response to a user -> SharingBasis -> SharedCatalogs   what every user may see
//!                                    -> Observations     names, or only counts, for the operator
//!                    -> TemplateCache                    the user's own templates: which URIs they may read
//! ```
//!
//! What an origin shows to one user's account is private, unless the origin declares it public or its owner
//! declares the catalog shared. A catalog is bound to the origin's URL: if the URL changes, it is learned
//! again.

#[cfg(test)]
mod golden;
mod observations;
mod section;
mod server_info;
mod shared;
mod sharing;
mod templates;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::{Clock, UnixMillis};
use portcullis_config_distribution::ObservedCatalogs;
use portcullis_origin_auth::ConnectionChange;
use portcullis_policy::{CredentialSubject, Origin, PrincipalId};
use portcullis_store::{CatalogRow, Store, StoreError};
use serde_json::value::RawValue;
use tokio::sync::broadcast;

pub(crate) use section::CatalogSection;
pub(crate) use templates::UriTemplates;

use observations::{Observations, Observed};
use shared::{Items, SharedCatalogs, SharedPage, SharedSection};
use sharing::SharingBasis;
use templates::TemplateCache;

/// Minimum time between two updates of a section: lists are large and change rarely.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// An unchanged list is stored again at this interval to update its observation time. Observations expire
/// after days, so this is precise enough.
const RESAVE_INTERVAL: Duration = Duration::from_secs(3600);

/// Stored sections that were not observed for this long are deleted.
const STORED_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often expired sections are deleted from the store.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);

/// A page of a list, or the document of another section, as the origin sent it to a user.
pub(crate) struct ObservedPage<'a> {
    pub(crate) part: CatalogSection,
    /// JSON texts.
    pub(crate) items: Vec<&'a str>,
    /// Whether the origin declares it public.
    pub(crate) public: bool,
    /// Whether it continues a list.
    pub(crate) continues: bool,
    /// Whether the list has further pages.
    pub(crate) is_continued: bool,
}

/// Catalogs of all origins. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalogs(Arc<Inner>);

struct Inner {
    shared: SharedCatalogs,
    templates: TemplateCache,
    observations: Observations,
    store: Store,
    clock: Clock,
}

impl Catalogs {
    /// Loads the shared catalogs that earlier processes have stored.
    pub(crate) async fn load(store: Store, clock: Clock) -> Result<Self, StoreError> {
        let catalogs = Self(Arc::new(Inner {
            shared: SharedCatalogs::new(store.clone()),
            templates: TemplateCache::new(clock.clone()),
            observations: Observations::new(clock.clone()),
            store,
            clock,
        }));
        for row in catalogs.0.store.catalogs().await? {
            catalogs.restore(row);
        }
        Ok(catalogs)
    }

    fn restore(&self, row: CatalogRow) {
        let CatalogRow { origin_uid, origin_url, kind, basis, document, observed_at } = row;
        let parts = (CatalogSection::from_name(&kind), SharingBasis::from_name(&basis));
        let (Some(part), Some(basis)) = parts else { return };
        let items = match serde_json::from_str::<Vec<Box<RawValue>>>(&document) {
            Ok(items) => items,
            Err(error) => {
                tracing::warn!(%error, origin_uid, kind, "failed to parse stored catalog; it will be learned again");
                return;
            }
        };
        let seen = UnixMillis(observed_at);
        let of = Observed { origin_uid: &origin_uid, url: &origin_url, part };
        self.0.observations.record_shared(of, basis, items.iter().map(|item| item.get()), seen);
        let section = SharedSection { items: items.into(), basis, saved_at: seen };
        self.0.shared.restore(Arc::from(origin_uid), &origin_url, part, section);
    }

    /// Whether a response to this user should update this section. Templates are needed of every origin,
    /// because they decide which URIs may be read. Other sections are needed only if the gateway obtains
    /// tokens for the origin: users without an account see them, and the operator cannot list them itself.
    pub(crate) fn needs_refresh(&self, origin: &Origin, who: &PrincipalId, part: CatalogSection) -> bool {
        let is_old = |learned_at: UnixMillis| self.0.clock.now().since(learned_at) >= REFRESH_INTERVAL;
        let section = is_catalogued(origin) && self.0.shared.learned_at(origin, part).is_none_or(is_old);
        section
            || (part == CatalogSection::Templates
                && self
                    .templates(origin, who)
                    .is_none_or(|known| !self.0.templates.is_younger(&known, REFRESH_INTERVAL)))
    }

    /// Learns from a response to this user.
    pub(crate) fn learn(&self, origin: &Origin, who: &PrincipalId, page: &ObservedPage<'_>) {
        // The pages of a list may come from different requests, so only a list of one page is known to be
        // complete. Others are requested when they are needed.
        if page.part == CatalogSection::Templates && !page.continues && !page.is_continued {
            self.learn_templates(origin, who, page.items.iter().copied(), true);
        }
        if !is_catalogued(origin) {
            return;
        }
        match SharingBasis::of(origin, page.public) {
            Some(basis) => self.learn_shared(origin, page, basis),
            None => {
                if self.0.shared.withdraw(origin, page.part, self.0.clock.now()) {
                    self.0.shared.save(origin, page.part);
                }
                self.0.observations.record_private(origin, page.part, &page.items);
            }
        }
    }

    /// Learns the templates that the origin listed to this user. An incomplete list only adds to what is
    /// known.
    pub(crate) fn learn_templates<'a>(
        &self,
        origin: &Origin,
        who: &PrincipalId,
        items: impl Iterator<Item = &'a str>,
        complete: bool,
    ) {
        self.0.templates.learn(origin, who, items, complete);
    }

    /// The items of a list, or the document of another section; `None` if nothing is known that every user
    /// may see.
    pub(crate) fn shared_items(&self, origin: &Origin, part: CatalogSection) -> Option<Items> {
        self.0.shared.items(origin, part)
    }

    /// URI templates that the origin lists to this user; `None` if they are unknown.
    pub(crate) fn templates(&self, origin: &Origin, who: &PrincipalId) -> Option<Arc<UriTemplates>> {
        self.0.templates.get(origin, who)
    }

    /// Whether a URI that matches none of these templates is denied without asking the origin again.
    pub(crate) fn may_deny(&self, known: &UriTemplates) -> bool {
        self.0.templates.may_deny(known)
    }

    /// The observations for the operator, with ages instead of times. Names of an origin are included if
    /// `may_show` returns true for its UID, or if the origin declared them public.
    pub(crate) fn observations(&self, may_show: impl FnMut(&str) -> bool) -> ObservedCatalogs {
        self.0.observations.report(may_show)
    }

    /// Hash of the observations. It changes when they change.
    pub(crate) fn observations_hash(&self) -> String {
        self.0.observations.hash()
    }

    /// Forgets the templates of accounts that are connected or disconnected, and deletes expired sections
    /// from the store, until dropped.
    pub(crate) async fn maintain(self, mut changes: broadcast::Receiver<ConnectionChange>) {
        let mut prune = tokio::time::interval(PRUNE_INTERVAL);
        loop {
            tokio::select! {
                _ = prune.tick() => self.prune().await,
                change = changes.recv() => match change {
                    Ok(change) => self.0.templates.forget(&change.who, &change.origin_uid),
                    // A change was missed.
                    Err(broadcast::error::RecvError::Lagged(_)) => self.0.templates.forget_all(),
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        }
    }

    async fn prune(&self) {
        let age = i64::try_from(STORED_TTL.as_millis()).unwrap_or(i64::MAX);
        if let Err(error) = self.0.store.prune_catalogs(self.0.clock.now().0.saturating_sub(age)).await {
            tracing::warn!(%error, "failed to delete expired catalogs");
        }
    }

    fn learn_shared(&self, origin: &Origin, page: &ObservedPage<'_>, basis: SharingBasis) {
        let is_list = page.part.list_kind().is_some();
        // Items of a parsed list are valid JSON. Invalid ones are ignored.
        let items = page.items.iter().filter_map(|item| match is_list {
            true => RawValue::from_string((*item).to_owned()).ok(),
            false => server_info::reusable_server_info(item),
        });
        let page_to_share = SharedPage { items: items.collect(), basis, continues: page.continues };
        let now = self.0.clock.now();
        let Some(learned) = self.0.shared.learn(origin, page.part, page_to_share, now) else { return };
        if learned.is_due {
            let of = Observed { origin_uid: &origin.uid, url: origin.url.as_str(), part: page.part };
            self.0.observations.record_shared(
                of,
                learned.basis,
                learned.items.iter().map(|item| item.get()),
                now,
            );
            self.0.shared.save(origin, page.part);
        }
    }
}

/// Whether the catalog of this origin is learned. The operator lists origins with static credentials itself.
fn is_catalogued(origin: &Origin) -> bool {
    origin.credential_subject() != CredentialSubject::None
}
