//! The observed state of the cluster, one file per aspect. The reconciler owns it; only [`ClusterEvent`]s and
//! results of the reconciler's own writes change it.

mod published;
mod replicas;
mod tracked_resource;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use portcullis_compiler::{Diagnostic, ResourceId, Resources};
use portcullis_config_distribution::{ObservedCatalogs, RestoredUids};

use crate::discover::outcome::{Discovery, DiscoveryOutcome};

pub(crate) use published::{PublishedConfig, PublishedObject, PublishedRoute, RefusedSerial};
pub(crate) use replicas::{Replica, Replicas};
pub(crate) use tracked_resource::{ResourceStatus, TrackedResource};

/// A change in the cluster, or a new observation.
#[allow(clippy::large_enum_variant, reason = "events are moved through a channel one at a time")]
pub(crate) enum ClusterEvent {
    /// A watch event of one of the four kinds.
    Resource(&'static str, Event<DynamicObject>),
    /// A watch event of a Secret with the credential label.
    Credential(Event<Secret>),
    /// A watch event of a ConfigMap in the publication namespace.
    ConfigMap(Event<ConfigMap>),
    /// A watch event of a Secret in the publication namespace.
    Secret(Event<Secret>),
    /// A watch event of a namespace.
    Namespace(Event<Namespace>),
    /// A watch event of a replica's Lease.
    Lease(Event<Lease>),
    /// A watch event of a pod of the data plane.
    Pod(Event<Pod>),
    /// An origin, by its UID, was probed for its catalog.
    Discovery(String, Discovery),
    /// A replica returned the catalogs that its users saw.
    Observed(ObservedCatalogs),
}

/// The watch that an event came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WatchSource {
    Resources(&'static str),
    Credentials,
    ConfigMaps,
    Secrets,
    Leases,
    Pods,
    Namespaces,
}

/// The observed state of the cluster.
pub(crate) struct ClusterState {
    /// The compiler's input.
    pub(crate) resources: Resources,
    /// Resources that cannot be decoded, and why.
    pub(crate) undecodable: BTreeMap<ResourceId, Diagnostic>,
    /// Every resource of the four kinds, with its last known status.
    pub(crate) tracked: BTreeMap<ResourceId, TrackedResource>,
    /// The publication namespace.
    pub(crate) published: PublishedConfig,
    /// The data plane.
    pub(crate) replicas: Replicas,
    /// The last probe of each origin, by UID.
    pub(crate) discoveries: BTreeMap<String, Discovery>,
    /// The catalogs that users saw, as reported by replicas.
    pub(crate) observed: ObservedCatalogs,
    /// Whether `discoveries` or `observed` changed since this flag was last cleared.
    pub(crate) catalogs_changed: bool,
    /// Maps UIDs of restored resources to their original UIDs.
    restored_uids: RestoredUids,
    /// Whether the compiler's input changed since this flag was last cleared.
    pub(crate) resources_changed: bool,
    unlisted: BTreeSet<WatchSource>,
    partial_lists: BTreeMap<WatchSource, BTreeSet<ResourceId>>,
}

impl ClusterState {
    /// An empty state that is incomplete until each of these watches has delivered its first list.
    pub(crate) fn new(publication_namespace: &str, sources: impl IntoIterator<Item = WatchSource>) -> Self {
        Self {
            resources: Resources::default(),
            undecodable: BTreeMap::new(),
            tracked: BTreeMap::new(),
            published: PublishedConfig::new(publication_namespace),
            replicas: Replicas::default(),
            discoveries: BTreeMap::new(),
            observed: ObservedCatalogs::default(),
            catalogs_changed: false,
            restored_uids: RestoredUids::new(),
            resources_changed: true,
            unlisted: sources.into_iter().collect(),
            partial_lists: BTreeMap::new(),
        }
    }

    /// Whether every watch has delivered its first list. Until then an object can be missing although it
    /// exists.
    pub(crate) fn is_complete(&self) -> bool {
        let namespaces_pending = self.unlisted.contains(&WatchSource::Namespaces);
        self.unlisted.len() == usize::from(namespaces_pending)
            && !(namespaces_pending && self.selects_namespaces_by_label())
    }

    /// Whether a gateway needs the labels of namespaces. Otherwise the operator does not wait for them.
    fn selects_namespaces_by_label(&self) -> bool {
        let tenancy = self.resources.gateways.iter().filter_map(|gateway| gateway.spec.tenancy.as_ref());
        tenancy.flatten().any(|entry| entry.namespace_selector.is_some())
    }

    /// Applies one event to the state.
    pub(crate) fn handle(&mut self, change: ClusterEvent) {
        match change {
            ClusterEvent::Resource(kind, event) => {
                self.handle_watch_event(WatchSource::Resources(kind), event, kind)
            }
            ClusterEvent::Credential(event) => {
                self.handle_watch_event(WatchSource::Credentials, event, "Secret")
            }
            ClusterEvent::ConfigMap(event) => {
                self.handle_watch_event(WatchSource::ConfigMaps, event, "ConfigMap")
            }
            ClusterEvent::Secret(event) => self.handle_watch_event(WatchSource::Secrets, event, "Secret"),
            ClusterEvent::Namespace(event) => {
                self.handle_watch_event(WatchSource::Namespaces, event, "Namespace")
            }
            ClusterEvent::Lease(event) => self.handle_watch_event(WatchSource::Leases, event, "Lease"),
            ClusterEvent::Pod(event) => self.handle_watch_event(WatchSource::Pods, event, "Pod"),
            ClusterEvent::Discovery(uid, asked) => self.record_discovery(uid, asked),
            ClusterEvent::Observed(observed) => self.catalogs_changed |= self.observed.merge(observed),
        }
    }

    /// Changed names trigger a compilation, which updates the warnings about misspelled capabilities.
    fn record_discovery(&mut self, uid: String, asked: Discovery) {
        if let DiscoveryOutcome::Offers(offer) = &asked.outcome
            && let Some((namespace, name)) = asked.document.name.split_once('/')
        {
            let id = ResourceId::new("OriginMcp", namespace, name);
            if self.resources.catalogs.get(&id) != Some(&offer.names) && self.tracked.contains_key(&id) {
                self.resources.catalogs.insert(id, offer.names.clone());
                self.resources_changed = true;
            }
        }
        self.discoveries.insert(uid, asked);
        self.catalogs_changed = true;
    }

    /// Any event but a list changes one object. A complete list also removes the objects that it does not
    /// contain.
    fn handle_watch_event<K: WatchedObject>(&mut self, source: WatchSource, event: Event<K>, kind: &str) {
        match event {
            Event::Init => {
                self.partial_lists.insert(source, BTreeSet::new());
            }
            Event::InitApply(object) => {
                let id = ResourceId::of(kind, object.meta());
                self.partial_lists.entry(source).or_default().insert(id.clone());
                object.apply(self, id, source);
            }
            Event::InitDone => {
                let listed = self.partial_lists.remove(&source).unwrap_or_default();
                for id in K::all(self, kind, source) {
                    if !listed.contains(&id) {
                        K::remove(self, &id, None, source);
                    }
                }
                if self.unlisted.remove(&source) && source == WatchSource::Namespaces {
                    self.resources.namespaces.get_or_insert_default();
                    self.resources_changed = true;
                }
            }
            Event::Apply(object) => {
                let id = ResourceId::of(kind, object.meta());
                object.apply(self, id, source);
            }
            Event::Delete(object) => {
                let id = ResourceId::of(kind, object.meta());
                K::remove(self, &id, Some(version(object.meta())), source);
            }
        }
    }
}

/// A kind of object that [`ClusterState`] tracks.
trait WatchedObject: kube::Resource {
    /// Adds or updates the object.
    fn apply(self, cluster_state: &mut ClusterState, id: ResourceId, source: WatchSource);
    /// Removes the object, unless a version newer than `version` is known.
    fn remove(cluster_state: &mut ClusterState, id: &ResourceId, version: Option<u64>, source: WatchSource);
    /// All known objects of this kind from this watch.
    fn all(cluster_state: &ClusterState, kind: &str, source: WatchSource) -> Vec<ResourceId>;
}

impl WatchedObject for Secret {
    fn apply(mut self, cluster_state: &mut ClusterState, id: ResourceId, source: WatchSource) {
        if source == WatchSource::Secrets {
            return cluster_state.published.apply_secret(self);
        }
        self.metadata.managed_fields = None;
        let known = cluster_state.resources.secrets.iter().position(|it| matches_id(&it.metadata, &id));
        match known.and_then(|at| cluster_state.resources.secrets.get_mut(at)) {
            Some(known) => *known = self,
            None => cluster_state.resources.secrets.push(self),
        }
        cluster_state.resources_changed = true;
    }

    fn remove(cluster_state: &mut ClusterState, id: &ResourceId, version: Option<u64>, source: WatchSource) {
        if source == WatchSource::Secrets {
            return cluster_state.published.remove_secret(&id.name, version);
        }
        cluster_state.resources.secrets.retain(|secret| !matches_id(&secret.metadata, id));
        cluster_state.resources_changed = true;
    }

    fn all(cluster_state: &ClusterState, kind: &str, source: WatchSource) -> Vec<ResourceId> {
        if source == WatchSource::Secrets {
            return cluster_state.published.ids(kind);
        }
        cluster_state.resources.secrets.iter().map(|secret| ResourceId::of(kind, &secret.metadata)).collect()
    }
}

impl WatchedObject for ConfigMap {
    fn apply(self, cluster_state: &mut ClusterState, _: ResourceId, _: WatchSource) {
        cluster_state.published.apply_config_map(self);
    }

    fn remove(cluster_state: &mut ClusterState, id: &ResourceId, version: Option<u64>, _: WatchSource) {
        cluster_state.published.remove_config_map(&id.name, version);
    }

    fn all(cluster_state: &ClusterState, kind: &str, _: WatchSource) -> Vec<ResourceId> {
        cluster_state.published.ids(kind)
    }
}

impl WatchedObject for Namespace {
    fn apply(self, cluster_state: &mut ClusterState, id: ResourceId, _: WatchSource) {
        let labels = self.metadata.labels.unwrap_or_default();
        let namespaces = cluster_state.resources.namespaces.get_or_insert_default();
        if namespaces.get(&id.name) != Some(&labels) {
            namespaces.insert(id.name, labels);
            cluster_state.resources_changed = true;
        }
    }

    fn remove(cluster_state: &mut ClusterState, id: &ResourceId, _: Option<u64>, _: WatchSource) {
        let namespaces = cluster_state.resources.namespaces.get_or_insert_default();
        cluster_state.resources_changed |= namespaces.remove(&id.name).is_some();
    }

    fn all(cluster_state: &ClusterState, kind: &str, _: WatchSource) -> Vec<ResourceId> {
        let names = cluster_state.resources.namespaces.iter().flat_map(|namespaces| namespaces.keys());
        names.map(|name| ResourceId::new(kind, "", name)).collect()
    }
}

impl WatchedObject for Lease {
    fn apply(self, cluster_state: &mut ClusterState, id: ResourceId, _: WatchSource) {
        cluster_state.replicas.lease(id, self);
    }

    fn remove(cluster_state: &mut ClusterState, id: &ResourceId, _: Option<u64>, _: WatchSource) {
        cluster_state.replicas.remove_lease(id);
    }

    fn all(cluster_state: &ClusterState, _: &str, _: WatchSource) -> Vec<ResourceId> {
        cluster_state.replicas.leases()
    }
}

impl WatchedObject for Pod {
    fn apply(self, cluster_state: &mut ClusterState, id: ResourceId, _: WatchSource) {
        cluster_state.replicas.pod(id, &self);
    }

    fn remove(cluster_state: &mut ClusterState, id: &ResourceId, _: Option<u64>, _: WatchSource) {
        cluster_state.replicas.remove_pod(id);
    }

    fn all(cluster_state: &ClusterState, _: &str, _: WatchSource) -> Vec<ResourceId> {
        cluster_state.replicas.pods()
    }
}

/// Whether the metadata is that of the given resource.
fn matches_id(metadata: &kube::core::ObjectMeta, id: &ResourceId) -> bool {
    metadata.name.as_deref() == Some(&id.name) && metadata.namespace.as_deref() == Some(&id.namespace)
}

/// The resource version as a number. Versions of one API server grow.
pub(crate) fn version(metadata: &kube::core::ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cluster_state() -> ClusterState {
        ClusterState::new("publication", [WatchSource::Resources("VirtualMcp"), WatchSource::Leases])
    }

    fn virtual_mcp(name: &str, version: u64, generation: i64, spec: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "portcullis.dev/v1alpha1", "kind": "VirtualMcp",
            "metadata": {
                "name": name, "namespace": "mcp", "uid": format!("uid-{name}"),
                "resourceVersion": version.to_string(), "generation": generation,
            },
            "spec": spec, "status": {"url": format!("at {version}")},
        }))
        .unwrap()
    }

    fn sound(name: &str, version: u64, generation: i64) -> DynamicObject {
        virtual_mcp(name, version, generation, json!({"origins": [{"name": "linear"}]}))
    }

    fn of(event: Event<DynamicObject>) -> ClusterEvent {
        ClusterEvent::Resource("VirtualMcp", event)
    }

    fn id(name: &str) -> ResourceId {
        ResourceId::new("VirtualMcp", "mcp", name)
    }

    fn lease(name: &str) -> Lease {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "portcullis"}, "spec": {"holderIdentity": name},
        }))
        .unwrap()
    }

    #[test]
    fn given_first_lists_when_all_are_whole_then_the_world_is_complete_and_they_are_known() {
        let mut cluster_state = cluster_state();
        for event in [Event::Init, Event::InitApply(sound("a", 5, 1)), Event::InitDone] {
            cluster_state.handle(of(event));
        }
        assert!(!cluster_state.is_complete());
        for event in [Event::Init, Event::InitApply(lease("replica")), Event::InitDone] {
            cluster_state.handle(ClusterEvent::Lease(event));
        }
        assert!(cluster_state.is_complete());
        assert_eq!(cluster_state.resources.virtual_mcps.len(), 1);
        assert_eq!(cluster_state.replicas.list_from_leases(tokio::time::Instant::now()).len(), 1);
    }

    #[test]
    fn given_a_fresh_list_when_somebody_is_missing_in_it_then_they_are_gone_and_others_stay() {
        let mut cluster_state = cluster_state();
        cluster_state.handle(of(Event::Apply(sound("a", 5, 1))));
        cluster_state.handle(of(Event::Apply(sound("b", 6, 1))));
        for event in [Event::Init, Event::InitApply(sound("b", 6, 1))] {
            cluster_state.handle(of(event));
        }
        assert_eq!(cluster_state.resources.virtual_mcps.len(), 2, "until the list is complete");
        cluster_state.handle(of(Event::InitDone));
        assert_eq!(cluster_state.resources.virtual_mcps.len(), 1);
        assert!(
            cluster_state.tracked.contains_key(&id("b")) && !cluster_state.tracked.contains_key(&id("a"))
        );
    }

    #[test]
    fn given_a_resource_when_only_its_status_changes_then_nothing_is_compiled_again() {
        let mut cluster_state = cluster_state();
        cluster_state.handle(of(Event::Apply(sound("a", 5, 1))));
        assert!(std::mem::take(&mut cluster_state.resources_changed));
        cluster_state.handle(of(Event::Apply(sound("a", 6, 1))));
        assert!(!cluster_state.resources_changed);
        assert_eq!(cluster_state.tracked[&id("a")].status.url.as_deref(), Some("at 6"));
        cluster_state.handle(of(Event::Apply(sound("a", 4, 1))));
        assert_eq!(
            cluster_state.tracked[&id("a")].status.url.as_deref(),
            Some("at 6"),
            "an older version is ignored"
        );
        cluster_state.handle(of(Event::Apply(sound("a", 7, 2))));
        assert!(cluster_state.resources_changed);
    }

    #[test]
    fn given_a_resource_that_cannot_be_decoded_then_it_alone_is_left_out_and_mended_it_is_back() {
        let mut cluster_state = cluster_state();
        cluster_state.handle(of(Event::Apply(sound("a", 5, 1))));
        cluster_state.handle(of(Event::Apply(virtual_mcp(
            "b",
            6,
            1,
            json!({"origins": "none", "access": 7}),
        ))));
        assert_eq!(cluster_state.resources.virtual_mcps.len(), 1);
        let diagnostic = &cluster_state.undecodable[&id("b")];
        assert_eq!((diagnostic.reason, diagnostic.field.as_deref()), ("Undecodable", Some("spec.access")));
        assert!(cluster_state.resources.unreadable.contains(&id("b")));
        cluster_state.handle(of(Event::Apply(sound("b", 7, 2))));
        assert!(cluster_state.undecodable.is_empty() && cluster_state.resources.unreadable.is_empty());
        assert_eq!(cluster_state.resources.virtual_mcps.len(), 2);
        cluster_state.handle(of(Event::Apply(virtual_mcp("b", 8, 3, json!(null)))));
        assert_eq!(cluster_state.resources.virtual_mcps.len(), 1);
        cluster_state.handle(of(Event::Delete(sound("b", 9, 3))));
        assert!(cluster_state.undecodable.is_empty() && !cluster_state.tracked.contains_key(&id("b")));
    }
}
