//! What is to be published, from what is known. Pure: the compiler's documents, each under its object's name, and what is wrong
//! with whom.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_compiler::{Diagnosis, Parts, ResourceId, compile_parts};
use portcullis_contract::{GatewayDoc, SecretKey, SecretValue};
use portcullis_keys::MacRing;
use portcullis_publication::{DiagnosisDoc, Document, Kind, content_hash, object_name, verify};

use crate::world::World;

/// More diagnoses than these are counted, not listed: an object has a size limit, and each change of one is a write.
const DIAGNOSES: usize = 200;

/// What is to be published.
#[derive(Default)]
pub(crate) struct Plan {
    /// By the name of the object.
    pub(crate) objects: BTreeMap<String, Desired>,
    /// The objects that serve a resource: its document and the credentials that the document refers to.
    pub(crate) parts: BTreeMap<ResourceId, Vec<String>>,
    /// What is wrong, by resource.
    pub(crate) diagnoses: BTreeMap<ResourceId, Vec<Diagnosis>>,
    /// Where clients reach each virtual MCP that is served.
    pub(crate) urls: BTreeMap<ResourceId, String>,
    /// Whether there is a gateway at all, and whether its namespace rules could be read.
    pub(crate) gateway: GatewayState,
    /// What is sound, for whoever asks origins.
    pub(crate) compiled: Parts,
}

/// How things stand with the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GatewayState {
    /// There is none: nothing is served.
    #[default]
    Absent,
    /// It cannot be read: who may attach what is not known, and what is published stays.
    Undecodable,
    /// It has errors: its last good document stays, the rest goes on.
    Unsound,
    /// It is served.
    Sound,
}

/// One object as it is to be.
#[derive(Clone)]
pub(crate) struct Desired {
    pub(crate) kind: Kind,
    /// The resource that it is made from, and its generation.
    pub(crate) source: Option<(ResourceId, i64)>,
    pub(crate) content: Content,
}

/// What is in it.
#[derive(Clone)]
pub(crate) enum Content {
    /// A document: JSON, and its hash.
    Document { text: String, hash: String },
    /// A credential, still to be sealed.
    Credential(SecretKey, SecretValue),
    /// Whatever is there already.
    AsItIs,
}

impl Content {
    fn of(text: String) -> Self {
        Self::Document { hash: content_hash(&text), text }
    }
}

impl Plan {
    /// Compiles what is known.
    pub(crate) fn make(world: &World, ring: &MacRing) -> Result<Self, serde_json::Error> {
        let (mut compiled, found) = compile_parts(&world.resources);
        let gateway = if compiled.gateway.is_some() {
            GatewayState::Sound
        } else if !world.resources.gateways.is_empty() {
            GatewayState::Unsound
        } else if world.resources.unreadable.iter().any(|id| id.kind == "McpGateway") {
            GatewayState::Undecodable
        } else {
            GatewayState::Absent
        };
        let mut plan = Self { gateway, ..Self::default() };
        if gateway == GatewayState::Unsound {
            plan.keep_gateway(world, &mut compiled, ring);
        }
        plan.documents(world, &compiled, ring)?;
        let mut listed: Vec<_> = world.undecodable.values().cloned().chain(found).collect();
        listed.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.resource.cmp(&b.resource)));
        if gateway != GatewayState::Absent {
            let content = Content::of(serde_json::to_string(&diagnoses(&listed))?);
            let name = object_name(Kind::Diagnoses, "");
            plan.objects.insert(name, Desired { kind: Kind::Diagnoses, source: None, content });
        }
        for diagnosis in listed {
            if let Some(id) = diagnosis.resource.clone() {
                plan.diagnoses.entry(id).or_default().push(diagnosis);
            }
        }
        plan.compiled = compiled;
        Ok(plan)
    }

    fn documents(
        &mut self,
        world: &World,
        compiled: &Parts,
        ring: &MacRing,
    ) -> Result<(), serde_json::Error> {
        match self.gateway {
            GatewayState::Absent => return Ok(()),
            GatewayState::Undecodable => {
                self.keep_all(world);
                return Ok(());
            }
            GatewayState::Unsound | GatewayState::Sound => {}
        }
        let gateway =
            compiled.gateway.iter().map(|doc| (id_of_gateway(world, &doc.name), Document::Gateway(doc)));
        let origins = compiled.origins.iter().map(|doc| (id("OriginMcp", &doc.name), Document::Origin(doc)));
        let routes = compiled.routes.iter().map(|doc| (id("VirtualMcp", &doc.name), Document::Route(doc)));
        let teams = compiled.teams.iter().map(|doc| (id("Team", &doc.name), Document::Team(doc)));
        for (id, document) in gateway.chain(origins).chain(routes).chain(teams) {
            let Some(id) = id else { continue };
            let generation = world.subjects.get(&id).map_or(0, |subject| subject.generation);
            let mut names = vec![document.object_name()];
            for key in document.credentials() {
                if let Some(value) = compiled.secrets.get(key) {
                    let name = object_name(Kind::Credential, &key.0);
                    names.push(name.clone());
                    let content = Content::Credential(key.clone(), value.clone());
                    self.objects.entry(name).or_insert_with(|| Desired {
                        kind: Kind::Credential,
                        source: Some((id.clone(), generation)),
                        content,
                    });
                }
            }
            let content = Content::of(serde_json::to_string(&document)?);
            let source = Some((id.clone(), generation));
            self.objects.insert(document.object_name(), Desired { kind: document.kind(), source, content });
            self.parts.insert(id, names);
        }
        if let Some(base) = self.public_url(world, compiled, ring) {
            for route in &compiled.routes {
                let url = format!("{}/mcp/{}", base.trim_end_matches('/'), route.slug);
                self.urls.extend(id("VirtualMcp", &route.name).map(|id| (id, url)));
            }
        }
        Ok(())
    }

    fn public_url(&self, world: &World, compiled: &Parts, ring: &MacRing) -> Option<String> {
        let published = || published_gateway(world, ring);
        let gateway = compiled.gateway.clone().or_else(published)?;
        Some(gateway.public_url.to_string())
    }

    /// The last good gateway stays, with the credentials that it needs. Routes are for the people who sign in through it, not
    /// through what the unsound one names: those that name a provider of the latter stay as they are published.
    fn keep_gateway(&mut self, world: &World, compiled: &mut Parts, ring: &MacRing) {
        let Some(document) = published_gateway(world, ring) else { return };
        for key in Document::Gateway(&document).credentials() {
            self.keep(Kind::Credential, object_name(Kind::Credential, &key.0));
        }
        self.keep(Kind::Gateway, object_name(Kind::Gateway, &document.name));
        let named: BTreeSet<_> = world
            .resources
            .virtual_mcps
            .iter()
            .filter(|it| it.spec.identity_provider.is_some())
            .filter_map(|it| it.metadata.uid.as_deref())
            .collect();
        let providers: Vec<_> = document.identity_providers.iter().map(|it| it.name.as_str()).collect();
        compiled.routes.retain_mut(|route| {
            if let Some(first) = providers.first().filter(|_| !named.contains(route.uid.as_str())) {
                route.identity_provider = (*first).to_owned();
            }
            let known = providers.contains(&route.identity_provider.as_str());
            let name = object_name(Kind::Route, &route.uid);
            if !known && world.publication.objects.contains_key(&name) {
                self.keep(Kind::Route, name);
            }
            known
        });
    }

    /// All stays but documents whose resource is gone: whoever deletes one means it.
    fn keep_all(&mut self, world: &World) {
        let kinds = [("OriginMcp", Kind::Origin), ("VirtualMcp", Kind::Route), ("Team", Kind::Team)];
        for (id, subject) in &world.subjects {
            if let Some((_, kind)) = kinds.iter().find(|(name, _)| *name == id.kind) {
                self.keep(*kind, object_name(*kind, world.identity(&subject.uid)));
            }
        }
        for (name, object) in &world.publication.objects {
            if matches!(object.kind, Kind::Gateway | Kind::Credential) {
                self.keep(object.kind, name.clone());
            }
        }
    }

    fn keep(&mut self, kind: Kind, name: String) {
        self.objects.insert(name, Desired { kind, source: None, content: Content::AsItIs });
    }
}

/// A document's name is `namespace/name`.
fn id(kind: &str, qualified: &str) -> Option<ResourceId> {
    qualified.split_once('/').map(|(namespace, name)| ResourceId::new(kind, namespace, name))
}

/// The gateway's document has a name alone: it is the one gateway of that name without an error, or the oldest.
fn id_of_gateway(world: &World, name: &str) -> Option<ResourceId> {
    let mut gateways: Vec<_> = world.resources.gateways.iter().map(|it| &it.metadata).collect();
    gateways.sort_by_cached_key(|metadata| {
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, ResourceId::of("McpGateway", metadata))
    });
    let chosen = gateways.into_iter().find(|metadata| metadata.name.as_deref() == Some(name))?;
    Some(ResourceId::of("McpGateway", chosen))
}

fn published_gateway(world: &World, ring: &MacRing) -> Option<GatewayDoc> {
    let name = object_name(Kind::Gateway, "");
    let object = world.publication.objects.get(&name)?;
    verify(ring, Kind::Gateway, &name, &object.data).ok()
}

fn diagnoses(found: &[Diagnosis]) -> Vec<DiagnosisDoc> {
    let mut documents: Vec<_> = found
        .iter()
        .take(DIAGNOSES)
        .map(|diagnosis| DiagnosisDoc {
            severity: diagnosis.severity.to_string(),
            resource: diagnosis.resource.as_ref().map(ToString::to_string),
            field: diagnosis.field.clone(),
            reason: diagnosis.reason.to_owned(),
            message: diagnosis.message.clone(),
        })
        .collect();
    if found.len() > DIAGNOSES {
        documents.push(DiagnosisDoc {
            severity: "warning".to_owned(),
            resource: None,
            field: None,
            reason: "TooManyToList".to_owned(),
            message: "there are more; each resource's conditions tell its own".to_owned(),
        });
    }
    documents
}

#[cfg(test)]
pub(crate) mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::DynamicObject;
    use kube::runtime::watcher::Event;
    use portcullis_ambient::Random;
    use portcullis_keys::Keys;
    use serde_json::{Value, json};

    use super::*;
    use crate::publish::difference;
    use crate::world::Change;

    pub(crate) fn keys() -> Keys {
        Keys::from_json(&Keys::generate(&Random::system()).unwrap()).unwrap()
    }

    fn gateway() -> Value {
        json!({
            "publicUrl": "https://mcp.example.com",
            "identityProviders": [{"name": "company", "oidc": {"issuer": "https://idp.example.com", "clientId": "x"}}],
            "tenancy": [{"namespaces": ["mcp"], "everyone": true}],
        })
    }

    fn resource(world: &mut World, kind: &'static str, name: &str, generation: i64, spec: &Value) {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "portcullis.dev/v1alpha1", "kind": kind,
            "metadata": {
                "name": name, "namespace": "mcp", "uid": format!("uid-{kind}-{name}"), "generation": generation,
                "resourceVersion": generation.to_string(),
            },
            "spec": spec,
        }))
        .unwrap();
        world.take(Change::Resource(kind, Event::Apply(object)));
    }

    /// A gateway, an origin, and virtual MCPs of these names.
    fn world<'a>(names: impl IntoIterator<Item = &'a str>) -> World {
        let mut world = World::new("publication", []);
        resource(&mut world, "McpGateway", "gateway", 1, &gateway());
        let origin = json!({"url": "https://mcp.linear.app/mcp", "auth": {"none": {}}});
        resource(&mut world, "OriginMcp", "linear", 1, &origin);
        for name in names {
            resource(&mut world, "VirtualMcp", name, 1, &virtual_mcp(None));
        }
        world
    }

    fn virtual_mcp(description: Option<&str>) -> Value {
        json!({"origins": [{"name": "linear"}], "access": "Everyone", "description": description})
    }

    /// What the API server would have, had all of a plan been applied.
    fn apply(world: &mut World, plan: &Plan, keys: &Keys, version: u64) {
        for (name, desired) in &plan.objects {
            let Content::Document { text, .. } = &desired.content else { continue };
            let raw: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
            let sealed = portcullis_publication::publish(&keys.mac, desired.kind, name, &raw).unwrap();
            let object: ConfigMap = serde_json::from_value(json!({
                "metadata": {
                    "name": name, "namespace": "publication", "resourceVersion": version.to_string(),
                    "labels": {portcullis_publication::LABEL: desired.kind.label()},
                },
                "data": sealed.data(),
            }))
            .unwrap();
            world.take(Change::ConfigMap(Event::Apply(object)));
        }
    }

    fn plan(world: &World, keys: &Keys) -> Plan {
        Plan::make(world, &keys.mac).unwrap()
    }

    fn names(found: &[(Kind, String)]) -> Vec<&str> {
        found.iter().map(|(kind, _)| kind.label()).collect()
    }

    #[test]
    fn given_nothing_published_when_compared_then_all_is_written_and_what_others_need_comes_first() {
        let keys = keys();
        let mut world = world(["a", "b"]);
        let plan = plan(&world, &keys);
        let found = difference(&plan, &mut world.publication, &keys);
        assert_eq!(names(&found.write), ["gateway", "origin", "route", "route", "diagnoses"]);
        assert_eq!(found.remove, []);
        let id = ResourceId::new("VirtualMcp", "mcp", "a");
        assert_eq!(plan.urls[&id], "https://mcp.example.com/mcp/a");
        assert_eq!(plan.parts[&id], [object_name(Kind::Route, "uid-VirtualMcp-a")]);
    }

    #[test]
    fn given_all_published_when_one_is_edited_then_one_object_differs_however_many_there_are() {
        let keys = keys();
        let all: Vec<_> = (0..50).map(|number| format!("v{number}")).collect();
        let mut world = world(all.iter().map(String::as_str));
        let first = plan(&world, &keys);
        apply(&mut world, &first, &keys, 7);
        let again = plan(&world, &keys);
        assert_eq!(difference(&again, &mut world.publication, &keys), Default::default());
        resource(&mut world, "VirtualMcp", "v7", 2, &virtual_mcp(Some("new")));
        let edited = plan(&world, &keys);
        let found = difference(&edited, &mut world.publication, &keys);
        assert_eq!(found.write, [(Kind::Route, object_name(Kind::Route, "uid-VirtualMcp-v7"))]);
        assert_eq!(found.remove, []);
    }

    #[test]
    fn given_a_document_that_somebody_changed_or_an_old_key_made_then_it_is_written_again() {
        let (keys, others) = (keys(), self::keys());
        let mut world = world(["a"]);
        let plan = plan(&world, &keys);
        apply(&mut world, &plan, &others, 7);
        assert_eq!(difference(&plan, &mut world.publication, &keys).write.len(), plan.objects.len());
        apply(&mut world, &plan, &keys, 8);
        assert_eq!(difference(&plan, &mut world.publication, &keys).write, []);
    }

    #[test]
    fn given_a_resource_that_is_gone_or_unsound_then_its_document_is_removed_last_made_first() {
        let keys = keys();
        let mut world = world(["a"]);
        let first = plan(&world, &keys);
        apply(&mut world, &first, &keys, 7);
        let broken = json!({"url": "https://mcp.example.com/mcp/a", "auth": {"none": {}}});
        resource(&mut world, "OriginMcp", "linear", 2, &broken);
        let plan = plan(&world, &keys);
        let found = difference(&plan, &mut world.publication, &keys);
        assert_eq!(names(&found.remove), ["route", "origin"]);
        assert_eq!(names(&found.write), ["diagnoses"]);
    }

    #[test]
    fn given_a_gateway_that_became_unsound_then_its_last_good_document_stays_and_edits_of_others_go_on() {
        let keys = keys();
        let mut world = world(["a"]);
        let first = plan(&world, &keys);
        apply(&mut world, &first, &keys, 7);
        let mut unsound = gateway();
        unsound["tokens"] = json!({"access": "2d"});
        unsound["identityProviders"][0]["name"] = json!("another");
        resource(&mut world, "McpGateway", "gateway", 2, &unsound);
        resource(&mut world, "VirtualMcp", "a", 2, &virtual_mcp(Some("new")));
        let plan = plan(&world, &keys);
        assert_eq!(plan.gateway, GatewayState::Unsound);
        let found = difference(&plan, &mut world.publication, &keys);
        assert_eq!((names(&found.write), names(&found.remove)), (vec!["route", "diagnoses"], vec![]));
        assert_eq!(plan.urls.len(), 1);
        let route = &plan.objects[&object_name(Kind::Route, "uid-VirtualMcp-a")];
        let Content::Document { text, .. } = &route.content else { panic!("it is not written") };
        assert!(text.contains(r#""identityProvider":"company""#), "{text}");
    }

    #[test]
    fn given_a_gateway_that_cannot_be_read_then_all_stays_but_what_was_deleted() {
        let keys = keys();
        let mut world = world(["a", "b"]);
        let first = plan(&world, &keys);
        apply(&mut world, &first, &keys, 7);
        resource(&mut world, "McpGateway", "gateway", 2, &json!({"publicUrl": 7}));
        resource(&mut world, "VirtualMcp", "a", 2, &virtual_mcp(Some("new")));
        let gone: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "b", "namespace": "mcp", "resourceVersion": "9"},
        }))
        .unwrap();
        world.take(Change::Resource("VirtualMcp", Event::Delete(gone)));
        let plan = plan(&world, &keys);
        let found = difference(&plan, &mut world.publication, &keys);
        assert_eq!((names(&found.write), names(&found.remove)), (vec!["diagnoses"], vec!["route"]));
    }

    #[test]
    fn given_no_gateway_then_nothing_is_published() {
        let keys = keys();
        let mut world = world(["a"]);
        let first = plan(&world, &keys);
        apply(&mut world, &first, &keys, 7);
        let gone: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "gateway", "namespace": "mcp", "resourceVersion": "9"},
        }))
        .unwrap();
        world.take(Change::Resource("McpGateway", Event::Delete(gone)));
        let plan = plan(&world, &keys);
        let found = difference(&plan, &mut world.publication, &keys);
        assert_eq!(names(&found.remove), ["diagnoses", "route", "origin", "gateway"]);
        assert_eq!(found.write, []);
    }
}
