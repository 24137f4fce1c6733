//! URI templates that origins listed. They decide which URIs a user may read, so what an origin showed to one
//! user's account is used for that user only.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_policy::{Origin, PrincipalId};

/// Maximum size of all templates of a process. Those beyond it are requested again when they are needed.
const MAX_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Maximum number of templates of an origin, because each URI is matched against every template.
const MAX_TEMPLATES: usize = 1_000;

/// Maximum size of one user's templates at one origin. Further templates are ignored.
const MAX_TEMPLATE_BYTES: usize = 256 * 1024;

/// Templates that were not used for this long are dropped.
const IDLE_TTL: Duration = Duration::from_secs(24 * 3600);

/// A URI that matches no template is denied without a new request to the origin for this long.
const DENIAL_TTL: Duration = Duration::from_secs(60);

/// Approximate size of an entry beside its templates.
const ENTRY_BYTES: usize = 256;

/// The user whose templates these are, and the origin's UID. Users who reach the origin with the same
/// credential share an entry.
type CacheKey = (PrincipalId, Arc<str>);

/// Templates of all users and origins.
pub(super) struct TemplateCache {
    cache: Cache<CacheKey, Arc<UriTemplates>>,
    clock: Clock,
}

/// The URI templates that an origin lists to a user.
pub(crate) struct UriTemplates {
    origin_url: Box<str>,
    templates: Box<[Box<str>]>,
    learned_at: UnixMillis,
}

impl UriTemplates {
    /// The templates.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.templates.iter().map(AsRef::as_ref)
    }

    fn size(&self) -> usize {
        let templates = self.templates.iter().map(|template| template.len() + size_of::<Box<str>>());
        ENTRY_BYTES + self.origin_url.len() + templates.sum::<usize>()
    }
}

impl TemplateCache {
    pub(super) fn new(clock: Clock) -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_CACHE_BYTES)
            .weigher(|_: &CacheKey, templates: &Arc<UriTemplates>| {
                u32::try_from(templates.size()).unwrap_or(u32::MAX)
            })
            .time_to_idle(IDLE_TTL)
            .build();
        Self { cache, clock }
    }

    /// The templates that the origin lists to this user; `None` if they are unknown.
    pub(super) fn get(&self, origin: &Origin, who: &PrincipalId) -> Option<Arc<UriTemplates>> {
        self.cache.get(&key(origin, who)).filter(|known| *known.origin_url == *origin.url.as_str())
    }

    /// Whether the templates are recent enough to deny a URI that matches none.
    pub(super) fn may_deny(&self, known: &UriTemplates) -> bool {
        self.is_younger(known, DENIAL_TTL)
    }

    /// Whether the templates were learned less than this long ago.
    pub(super) fn is_younger(&self, known: &UriTemplates, age: Duration) -> bool {
        self.clock.now().since(known.learned_at) < age
    }

    /// Learns the templates that the origin listed to this user. An incomplete list only adds to what is
    /// known.
    pub(super) fn learn<'a>(
        &self,
        origin: &Origin,
        who: &PrincipalId,
        items: impl Iterator<Item = &'a str>,
        complete: bool,
    ) {
        #[derive(serde::Deserialize)]
        struct Template {
            #[serde(rename = "uriTemplate")]
            uri_template: Box<str>,
        }
        let old = self.get(origin, who).filter(|_| !complete);
        let old = old.iter().flat_map(|known| known.iter()).map(Box::<str>::from);
        let listed = items.filter_map(|item| serde_json::from_str::<Template>(item).ok());
        let (mut size, mut seen) = (0_usize, HashSet::new());
        let templates: Box<[Box<str>]> = old
            .chain(listed.map(|item| item.uri_template))
            .filter(|template| seen.insert(template.clone()))
            .take(MAX_TEMPLATES)
            .take_while(|template| {
                size = size.saturating_add(template.len());
                size <= MAX_TEMPLATE_BYTES
            })
            .collect();
        let known =
            UriTemplates { origin_url: origin.url.as_str().into(), templates, learned_at: self.clock.now() };
        self.cache.insert(key(origin, who), Arc::new(known));
    }

    /// Forgets what the origin listed to this account: it was connected or disconnected.
    pub(super) fn forget(&self, who: &PrincipalId, origin_uid: &Arc<str>) {
        self.cache.invalidate(&(who.clone(), Arc::clone(origin_uid)));
    }

    /// Forgets all templates.
    pub(super) fn forget_all(&self) {
        self.cache.invalidate_all();
    }
}

fn key(origin: &Origin, who: &PrincipalId) -> CacheKey {
    let who = if origin.is_personal() { who.clone() } else { PrincipalId::shared() };
    (who, Arc::clone(&origin.uid))
}
