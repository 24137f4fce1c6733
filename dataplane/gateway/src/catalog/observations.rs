//! What this replica observed, for the operator: names and definitions of shared lists, and the number and
//! the hash of private ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_config_distribution::ObservedCatalogs;
use portcullis_policy::Origin;
use sha2::{Digest as _, Sha256};

use super::sharing::SharingBasis;
use super::{CatalogSection, RESAVE_INTERVAL, section};

/// Observations older than this are no longer reported.
const OBSERVATION_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// The observations of a process.
pub(super) struct Observations {
    state: Mutex<State>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    /// What every user may see.
    shared: ObservedCatalogs,
    /// What single users were shown, with digests instead of names.
    private: ObservedCatalogs,
    /// Digest and time of the last private page of each section. Users are often shown the same.
    last_private: HashMap<(Arc<str>, CatalogSection), ([u8; 32], UnixMillis)>,
    hash: String,
    changed: bool,
}

/// Part of an origin's catalog.
#[derive(Clone, Copy)]
pub(super) struct Observed<'a> {
    pub(super) origin_uid: &'a str,
    pub(super) url: &'a str,
    pub(super) part: CatalogSection,
}

impl Observations {
    pub(super) fn new(clock: Clock) -> Self {
        Self { state: Mutex::default(), clock }
    }

    /// Records what every user may see.
    pub(super) fn record_shared<'a>(
        &self,
        of: Observed<'_>,
        basis: SharingBasis,
        items: impl IntoIterator<Item = &'a str>,
        at: UnixMillis,
    ) {
        let mut state = self.state.lock();
        state.forget_other_urls(of);
        let changed = match of.part.list_kind() {
            Some(kind) => {
                let items = items.into_iter().filter_map(|item| section::definition(kind, item));
                let new = state.shared.record(of.origin_uid, of.url, kind, items, at.0);
                let public = basis == SharingBasis::Origin;
                let declared = state.shared.declare_public(of.origin_uid, of.url, kind, public);
                let counted = state.private.remove_list(of.origin_uid, kind);
                new || declared || counted
            }
            None => state.record_protocol_version(of, items.into_iter().next(), at),
        };
        state.changed |= changed;
        self.prune(&mut state);
    }

    /// Records what a user was shown and others may not see.
    pub(super) fn record_private(&self, origin: &Origin, part: CatalogSection, items: &[&str]) {
        let at = self.clock.now();
        let of = Observed { origin_uid: &origin.uid, url: origin.url.as_str(), part };
        let mut state = self.state.lock();
        state.forget_other_urls(of);
        let Some(kind) = part.list_kind() else {
            let changed = state.record_protocol_version(of, items.first().copied(), at);
            state.changed |= changed;
            return;
        };
        let mut digest = Sha256::new();
        for text in [of.url].iter().chain(items) {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        }
        let digest = <[u8; 32]>::from(digest.finalize());
        let last = state.last_private.insert((Arc::clone(&origin.uid), part), (digest, at));
        if let Some((known, seen)) = last
            && known == digest
            && at.since(seen) < RESAVE_INTERVAL
        {
            state.last_private.insert((Arc::clone(&origin.uid), part), (digest, seen));
            return;
        }
        let items = items.iter().filter_map(|item| Some(section::definition(kind, item)?.without_name()));
        let new = state.private.record(of.origin_uid, of.url, kind, items, at.0);
        let named = state.shared.remove_list(of.origin_uid, kind);
        state.changed |= new || named;
        self.prune(&mut state);
    }

    /// The observations, with ages instead of times. Names of an origin are included if `may_show` returns
    /// true for its UID, or if the origin declared them public.
    pub(super) fn report(&self, may_show: impl FnMut(&str) -> bool) -> ObservedCatalogs {
        let now = self.clock.now().0;
        let (mut report, private) = {
            let state = self.state.lock();
            (state.shared.clone(), state.private.clone())
        };
        report.retain_names(may_show);
        report.merge(private.without_names());
        report.swap_times_and_ages(now)
    }

    /// Hash of the observations. It changes when they change.
    pub(super) fn hash(&self) -> String {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.changed) {
            let mut all = state.shared.clone();
            all.merge(state.private.clone().without_names());
            state.hash = all.hash();
        }
        state.hash.clone()
    }

    fn prune(&self, state: &mut State) {
        let old = i64::try_from(OBSERVATION_TTL.as_millis()).unwrap_or(i64::MAX);
        let time = self.clock.now().0.saturating_sub(old);
        state.changed |= state.shared.prune_before(time);
        state.changed |= state.private.prune_before(time);
    }
}

impl State {
    /// Forgets what the origin showed at another URL.
    fn forget_other_urls(&mut self, of: Observed<'_>) {
        self.shared.retain(|origin, url| origin != of.origin_uid || url == of.url);
        self.private.retain(|origin, url| origin != of.origin_uid || url == of.url);
    }

    fn record_protocol_version(
        &mut self,
        of: Observed<'_>,
        server_info: Option<&str>,
        at: UnixMillis,
    ) -> bool {
        let version = server_info.and_then(section::protocol_version);
        version
            .is_some_and(|version| self.shared.record_protocol_version(of.origin_uid, of.url, &version, at.0))
    }
}
