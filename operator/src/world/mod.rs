//! What is known of the cluster, one file an aspect. Owned by the engine; changed by nothing but [`Change`]s.

mod publication;
mod replicas;
mod subject;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use portcullis_compiler::{Diagnosis, ResourceId, Resources};
use portcullis_publication::{Identities, Observations};

use crate::discover::answer::{Answer, Asked};

pub(crate) use publication::{Publication, Published};
pub(crate) use replicas::{Replica, Replicas};
pub(crate) use subject::{StatusDoc, Subject};

/// Something that happened.
#[allow(clippy::large_enum_variant, reason = "they pass through a channel, one by one")]
pub(crate) enum Change {
    /// To a resource of one of the four kinds.
    Resource(&'static str, Event<DynamicObject>),
    /// To a Secret that has opted in.
    Credential(Event<Secret>),
    /// To a ConfigMap of the publication namespace.
    ConfigMap(Event<ConfigMap>),
    /// To a Secret of the publication namespace.
    Secret(Event<Secret>),
    /// To a replica's Lease.
    Lease(Event<Lease>),
    /// To a pod of the data plane.
    Pod(Event<Pod>),
    /// An origin was asked for its catalog; by its UID.
    Asked(String, Asked),
    /// A replica has told what its users were shown of origins.
    Observed(Observations),
}

/// Which watch a change came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Resources(&'static str),
    Credentials,
    ConfigMaps,
    Secrets,
    Leases,
    Pods,
}

/// What is known.
pub(crate) struct World {
    /// What is compiled.
    pub(crate) resources: Resources,
    /// Resources that could not be decoded, and why.
    pub(crate) undecodable: BTreeMap<ResourceId, Diagnosis>,
    /// Every resource of the four kinds, with its status as last known.
    pub(crate) subjects: BTreeMap<ResourceId, Subject>,
    /// The publication namespace.
    pub(crate) publication: Publication,
    /// The data plane.
    pub(crate) replicas: Replicas,
    /// What origins answered last, by UID.
    pub(crate) asked: BTreeMap<String, Asked>,
    /// What people were shown of origins.
    pub(crate) observed: Observations,
    /// Whether what is known of origins has changed since this was last taken.
    pub(crate) learned: bool,
    /// What resources that were restored from another cluster go by. See [`Identities`].
    identities: Identities,
    /// Whether what is compiled has changed since this was last taken.
    pub(crate) stale: bool,
    waiting: BTreeSet<Source>,
    listing: BTreeMap<Source, BTreeSet<ResourceId>>,
}

impl World {
    /// Knows nothing yet, and waits for a first list from each of these.
    pub(crate) fn new(publication_namespace: &str, sources: impl IntoIterator<Item = Source>) -> Self {
        Self {
            resources: Resources::default(),
            undecodable: BTreeMap::new(),
            subjects: BTreeMap::new(),
            publication: Publication::new(publication_namespace),
            replicas: Replicas::default(),
            asked: BTreeMap::new(),
            observed: Observations::default(),
            learned: false,
            identities: Identities::new(),
            stale: true,
            waiting: sources.into_iter().collect(),
            listing: BTreeMap::new(),
        }
    }

    /// Whether every watch has delivered its first list. Before, what is absent may only be unknown.
    pub(crate) fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a change in.
    pub(crate) fn take(&mut self, change: Change) {
        match change {
            Change::Resource(kind, event) => self.event(Source::Resources(kind), event, kind),
            Change::Credential(event) => self.event(Source::Credentials, event, "Secret"),
            Change::ConfigMap(event) => self.event(Source::ConfigMaps, event, "ConfigMap"),
            Change::Secret(event) => self.event(Source::Secrets, event, "Secret"),
            Change::Lease(event) => self.event(Source::Leases, event, "Lease"),
            Change::Pod(event) => self.event(Source::Pods, event, "Pod"),
            Change::Asked(uid, asked) => self.answered(uid, asked),
            Change::Observed(observed) => self.learned |= self.observed.join(observed),
        }
    }

    /// Names that are new are told to whoever misspells them, so that all is looked at again.
    fn answered(&mut self, uid: String, asked: Asked) {
        if let Answer::Offers(offer) = &asked.answer
            && let Some((namespace, name)) = asked.document.name.split_once('/')
        {
            let id = ResourceId::new("OriginMcp", namespace, name);
            if self.resources.catalogs.get(&id) != Some(&offer.names) && self.subjects.contains_key(&id) {
                self.resources.catalogs.insert(id, offer.names.clone());
                self.stale = true;
            }
        }
        self.asked.insert(uid, asked);
        self.learned = true;
    }

    /// A list replaces what was known, once it is whole; any other event changes one object.
    fn event<K: Known>(&mut self, source: Source, event: Event<K>, kind: &str) {
        match event {
            Event::Init => {
                self.listing.insert(source, BTreeSet::new());
            }
            Event::InitApply(object) => {
                let id = ResourceId::of(kind, object.meta());
                self.listing.entry(source).or_default().insert(id.clone());
                object.apply(self, id, source);
            }
            Event::InitDone => {
                let listed = self.listing.remove(&source).unwrap_or_default();
                for id in K::all(self, kind, source) {
                    if !listed.contains(&id) {
                        K::remove(self, &id, None, source);
                    }
                }
                self.waiting.remove(&source);
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

/// A kind of object that the world knows of.
trait Known: kube::Resource {
    /// It is there, as it is here.
    fn apply(self, world: &mut World, id: ResourceId, source: Source);
    /// It is gone; at which version, if that is known.
    fn remove(world: &mut World, id: &ResourceId, version: Option<u64>, source: Source);
    /// All that are known.
    fn all(world: &World, kind: &str, source: Source) -> Vec<ResourceId>;
}

impl Known for Secret {
    fn apply(mut self, world: &mut World, id: ResourceId, source: Source) {
        if source == Source::Secrets {
            return world.publication.secret(self);
        }
        self.metadata.managed_fields = None;
        let known = world.resources.secrets.iter().position(|it| is(&it.metadata, &id));
        match known.and_then(|at| world.resources.secrets.get_mut(at)) {
            Some(known) => *known = self,
            None => world.resources.secrets.push(self),
        }
        world.stale = true;
    }

    fn remove(world: &mut World, id: &ResourceId, version: Option<u64>, source: Source) {
        if source == Source::Secrets {
            return world.publication.remove_secret(&id.name, version);
        }
        world.resources.secrets.retain(|secret| !is(&secret.metadata, id));
        world.stale = true;
    }

    fn all(world: &World, kind: &str, source: Source) -> Vec<ResourceId> {
        if source == Source::Secrets {
            return world.publication.ids(kind);
        }
        world.resources.secrets.iter().map(|secret| ResourceId::of(kind, &secret.metadata)).collect()
    }
}

impl Known for ConfigMap {
    fn apply(self, world: &mut World, _: ResourceId, _: Source) {
        world.publication.config_map(self);
    }

    fn remove(world: &mut World, id: &ResourceId, version: Option<u64>, _: Source) {
        world.publication.remove_config_map(&id.name, version);
    }

    fn all(world: &World, kind: &str, _: Source) -> Vec<ResourceId> {
        world.publication.ids(kind)
    }
}

impl Known for Lease {
    fn apply(self, world: &mut World, id: ResourceId, _: Source) {
        world.replicas.lease(id, self);
    }

    fn remove(world: &mut World, id: &ResourceId, _: Option<u64>, _: Source) {
        world.replicas.remove_lease(id);
    }

    fn all(world: &World, _: &str, _: Source) -> Vec<ResourceId> {
        world.replicas.leases()
    }
}

impl Known for Pod {
    fn apply(self, world: &mut World, id: ResourceId, _: Source) {
        world.replicas.pod(id, &self);
    }

    fn remove(world: &mut World, id: &ResourceId, _: Option<u64>, _: Source) {
        world.replicas.remove_pod(id);
    }

    fn all(world: &World, _: &str, _: Source) -> Vec<ResourceId> {
        world.replicas.pods()
    }
}

/// Whether this is the metadata of that resource.
fn is(metadata: &kube::core::ObjectMeta, id: &ResourceId) -> bool {
    metadata.name.as_deref() == Some(&id.name) && metadata.namespace.as_deref() == Some(&id.namespace)
}

/// The version of an object. One API server's grow.
pub(crate) fn version(metadata: &kube::core::ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn world() -> World {
        World::new("publication", [Source::Resources("VirtualMcp"), Source::Leases])
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

    fn of(event: Event<DynamicObject>) -> Change {
        Change::Resource("VirtualMcp", event)
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
        let mut world = world();
        for event in [Event::Init, Event::InitApply(sound("a", 5, 1)), Event::InitDone] {
            world.take(of(event));
        }
        assert!(!world.is_complete());
        for event in [Event::Init, Event::InitApply(lease("replica")), Event::InitDone] {
            world.take(Change::Lease(event));
        }
        assert!(world.is_complete());
        assert_eq!(world.resources.virtual_mcps.len(), 1);
        assert_eq!(world.replicas.of_leases(tokio::time::Instant::now()).len(), 1);
    }

    #[test]
    fn given_a_fresh_list_when_somebody_is_missing_in_it_then_they_are_gone_and_others_stay() {
        let mut world = world();
        world.take(of(Event::Apply(sound("a", 5, 1))));
        world.take(of(Event::Apply(sound("b", 6, 1))));
        for event in [Event::Init, Event::InitApply(sound("b", 6, 1))] {
            world.take(of(event));
        }
        assert_eq!(world.resources.virtual_mcps.len(), 2, "until the list is whole");
        world.take(of(Event::InitDone));
        assert_eq!(world.resources.virtual_mcps.len(), 1);
        assert!(world.subjects.contains_key(&id("b")) && !world.subjects.contains_key(&id("a")));
    }

    #[test]
    fn given_a_resource_when_only_its_status_changes_then_nothing_is_compiled_again() {
        let mut world = world();
        world.take(of(Event::Apply(sound("a", 5, 1))));
        assert!(std::mem::take(&mut world.stale));
        world.take(of(Event::Apply(sound("a", 6, 1))));
        assert!(!world.stale);
        assert_eq!(world.subjects[&id("a")].status.url.as_deref(), Some("at 6"));
        world.take(of(Event::Apply(sound("a", 4, 1))));
        assert_eq!(world.subjects[&id("a")].status.url.as_deref(), Some("at 6"), "what comes late is old");
        world.take(of(Event::Apply(sound("a", 7, 2))));
        assert!(world.stale);
    }

    #[test]
    fn given_a_resource_that_cannot_be_decoded_then_it_alone_is_left_out_and_mended_it_is_back() {
        let mut world = world();
        world.take(of(Event::Apply(sound("a", 5, 1))));
        world.take(of(Event::Apply(virtual_mcp("b", 6, 1, json!({"origins": "none", "access": 7})))));
        assert_eq!(world.resources.virtual_mcps.len(), 1);
        let diagnosis = &world.undecodable[&id("b")];
        assert_eq!((diagnosis.reason, diagnosis.field.as_deref()), ("Undecodable", Some("spec.access")));
        assert!(world.resources.unreadable.contains(&id("b")));
        world.take(of(Event::Apply(sound("b", 7, 2))));
        assert!(world.undecodable.is_empty() && world.resources.unreadable.is_empty());
        assert_eq!(world.resources.virtual_mcps.len(), 2);
        world.take(of(Event::Apply(virtual_mcp("b", 8, 3, json!(null)))));
        assert_eq!(world.resources.virtual_mcps.len(), 1);
        world.take(of(Event::Delete(sound("b", 9, 3))));
        assert!(world.undecodable.is_empty() && !world.subjects.contains_key(&id("b")));
    }
}
