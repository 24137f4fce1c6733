//! Observed catalogs, of origins that need a user's account: selects the replicas to poll, and passes the
//! observed names to the compiler. Names of private catalogs are not used, even if a replica reports them: a
//! replica of an earlier version does, or the catalog was shared before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_compiler::{Catalog, ResourceId};
use portcullis_config::OriginConfig;
use portcullis_config_distribution::{ListKind, ObservedCatalog};
use portcullis_crds::kinds::origin_mcp as kind;

use super::Reconciler;
use crate::cluster_state::ClusterState;
use crate::discover::outcome::DiscoveryOutcome;
use crate::poll_replicas::{CatalogSource, CatalogSources};

/// A capability that no user has seen for this long is dropped.
const OBSERVATION_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

impl Reconciler {
    /// Updates the replicas to poll: those with a current report while this operator leads, else none.
    pub(super) fn update_catalog_sources(&self, leads: bool) {
        let keys = self.keys.as_ref().filter(|_| leads).map(|rings| Arc::clone(&rings.keys));
        let catalog_sources = keys.map(|keys| {
            let source = |replica: &crate::cluster_state::Replica| {
                let hash = replica.report.as_ref()?.catalogs.clone();
                Some(CatalogSource { name: replica.name.clone(), address: replica.private?, hash })
            };
            CatalogSources { keys, replicas: self.replicas.iter().filter_map(source).collect() }
        });
        self.context.catalog_sources.send_if_modified(|known| {
            let same = match (&*known, &catalog_sources) {
                (Some(known), Some(catalog_sources)) => known.is_same(catalog_sources),
                (None, None) => true,
                _ => false,
            };
            if !same {
                *known = catalog_sources;
            }
            !same
        });
    }

    /// Updates the compiler's catalogs from the observed ones, for origins that the operator cannot list
    /// itself. Returns whether a catalog changed, which requires a compilation.
    pub(super) fn update_observed_catalogs(&mut self) -> bool {
        let cluster_state = &mut self.context.cluster_state;
        let old = i64::try_from(OBSERVATION_TTL.as_millis()).unwrap_or(i64::MAX);
        cluster_state.catalogs_changed |=
            cluster_state.observed.prune_before(self.context.clock.now().0.saturating_sub(old));
        if !std::mem::take(&mut cluster_state.catalogs_changed) {
            return false;
        }
        let origins = cluster_state.tracked.iter().filter(|(id, _)| id.kind == "OriginMcp");
        let there: BTreeSet<_> =
            origins.map(|(_, subject)| cluster_state.effective_uid(&subject.uid).to_owned()).collect();
        cluster_state.observed.retain(|origin, _| there.contains(origin));
        let mut changed = false;
        for document in &self.desired_state.compiled.origins {
            let asked = cluster_state.discoveries.get(&document.uid).map(|asked| &asked.outcome);
            let Some((namespace, name)) = document.name.split_once('/') else { continue };
            let id = ResourceId::new("OriginMcp", namespace, name);
            let known = cluster_state.resources.catalogs.get(&id);
            if asked != Some(&DiscoveryOutcome::NeedsAccount) && known.is_none_or(|known| !known.observed) {
                continue;
            }
            let catalog = of(cluster_state, document).map(|observed| names(document, observed));
            if cluster_state.resources.catalogs.get(&id) != catalog.as_ref() {
                changed = true;
                match catalog {
                    Some(catalog) => cluster_state.resources.catalogs.insert(id, catalog),
                    None => cluster_state.resources.catalogs.remove(&id),
                };
            }
        }
        changed
    }
}

/// The observed catalog of this origin at its current URL.
pub(super) fn of<'a>(
    cluster_state: &'a ClusterState,
    document: &OriginConfig,
) -> Option<&'a ObservedCatalog> {
    let observed = cluster_state.observed.get(&document.uid)?;
    (observed.url() == document.url.as_str() && !observed.is_empty()).then_some(observed)
}

/// The names that curations are compared with.
fn names(document: &OriginConfig, observed: &ObservedCatalog) -> Catalog {
    let names = |kind| match document.has_private_catalog() {
        true => observed.public_names(kind),
        false => observed.names(kind),
    };
    Catalog { tools: names(ListKind::Tools), prompts: names(ListKind::Prompts), observed: true }
}

/// The counts for the status. Resources are omitted, because each user has their own.
pub(super) fn counts(observed: &ObservedCatalog) -> kind::Catalog {
    let count = |kind| i64::try_from(observed.count(kind)).unwrap_or(i64::MAX);
    kind::Catalog {
        tools: count(ListKind::Tools),
        prompts: count(ListKind::Prompts),
        resources: None,
        resource_templates: count(ListKind::ResourceTemplates),
        hash: observed.hash(),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_config_distribution::{ObservedCatalogs, ObservedItem};
    use portcullis_golden::config::{origin, with};
    use serde_json::json;

    use super::*;

    fn document(sharing: &str) -> OriginConfig {
        let auth = json!({"userOAuth": {"scopes": [], "registration": "auto"}});
        let members = json!({"auth": auth, "catalogSharing": sharing});
        serde_json::from_value(with(origin("o"), members)).unwrap()
    }

    /// What replicas report: tools with their names, and prompts that are public.
    fn report() -> ObservedCatalogs {
        let mut seen = ObservedCatalogs::default();
        let url = document("private").url.to_string();
        for (kind, name) in [(ListKind::Tools, "payroll"), (ListKind::Prompts, "greet")] {
            seen.record("o", &url, kind, [ObservedItem::new(name, "{}")], 1);
        }
        seen.declare_public("o", &url, ListKind::Prompts, true);
        seen
    }

    #[test]
    fn given_a_replica_that_reports_names_of_a_private_catalog_then_only_public_ones_are_used() {
        let report = report();
        let observed = report.get("o").unwrap();
        let of_private = names(&document("private"), observed);
        assert_eq!((of_private.tools, of_private.prompts), (None, Some(["greet".to_owned()].into())));
        let of_shared = names(&document("shared"), observed);
        assert_eq!(of_shared.tools, Some(["payroll".to_owned()].into()));
        assert_eq!((counts(observed).tools, counts(observed).prompts), (1, 1));
    }
}
