//! Computes the objects to publish from the cluster state. Pure: the compiler's documents by object name, and
//! the diagnostics by resource.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_compiler::{
    Diagnostic, GatewaySelection, GatewaySelector, PartialConfig, ResourceId, compile_partial,
};
use portcullis_config::{GatewayConfig, SecretKey, SecretValue};
use portcullis_config_distribution::{
    ConfigDocument, DocumentKind, PublishedDiagnostic, PublishedDiagnostics, content_hash, object_name,
    verify_document,
};
use portcullis_keyring::MacRing;

use crate::cluster_state::ClusterState;

/// Maximum number of published diagnostics. An object has a size limit, and each changed diagnostic causes a
/// write.
const MAX_DIAGNOSTICS: usize = 200;

/// The objects to publish, and the compiler's results.
#[derive(Default)]
pub(crate) struct DesiredState {
    /// By object name.
    pub(crate) objects: BTreeMap<String, DesiredObject>,
    /// The names of a resource's objects: its document and the credentials that the document refers to.
    pub(crate) objects_by_resource: BTreeMap<ResourceId, Vec<String>>,
    /// Diagnostics by resource.
    pub(crate) diagnostics: BTreeMap<ResourceId, Vec<Diagnostic>>,
    /// Public URL of each virtual MCP that is served.
    pub(crate) urls: BTreeMap<ResourceId, String>,
    /// Whether there is an McpGateway, and whether it is valid.
    pub(crate) gateway: GatewayState,
    /// The valid documents. Discovery takes its origins from here.
    pub(crate) compiled: PartialConfig,
}

/// State of the McpGateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GatewayState {
    /// There is no McpGateway: nothing is served.
    #[default]
    Absent,
    /// It cannot be decoded: its tenancy is unknown, and the published config stays unchanged.
    Undecodable,
    /// Several could be served and none is selected: the published config stays unchanged.
    Ambiguous,
    /// It has errors: its last valid document stays published, and other resources are still updated.
    Invalid,
    /// It is valid and served.
    Valid,
}

/// One object to publish.
#[derive(Clone)]
pub(crate) struct DesiredObject {
    pub(crate) kind: DocumentKind,
    /// The resource that the object is built from, and its generation.
    pub(crate) source: Option<(ResourceId, i64)>,
    pub(crate) content: Content,
}

/// The content of an object.
#[derive(Clone)]
pub(crate) enum Content {
    /// A document as JSON without its stamp, and the hash of this text.
    Document { text: String, hash: String },
    /// A credential that is not sealed yet.
    Credential(SecretKey, SecretValue),
    /// Keep the published content.
    Unchanged,
}

impl Content {
    /// Hash of a document without its stamp. `None` for a credential, which is sealed anew at each write.
    pub(crate) fn hash(&self) -> Option<&str> {
        match self {
            Self::Document { hash, .. } => Some(hash),
            Self::Credential(..) | Self::Unchanged => None,
        }
    }

    fn of(text: String) -> Self {
        Self::Document { hash: content_hash(&text), text }
    }
}

impl DesiredState {
    /// Compiles the resources of the cluster state.
    pub(crate) fn build(cluster_state: &ClusterState, ring: &MacRing) -> Result<Self, serde_json::Error> {
        let (mut compiled, found) = compile_partial(&cluster_state.resources);
        let gateway = match &compiled.selection {
            GatewaySelection::Selected(_) if compiled.gateway.is_some() => GatewayState::Valid,
            GatewaySelection::Selected(_) => GatewayState::Invalid,
            GatewaySelection::Unreadable(_) => GatewayState::Undecodable,
            GatewaySelection::Ambiguous => GatewayState::Ambiguous,
            GatewaySelection::Absent if is_served_elsewhere(cluster_state) => GatewayState::Ambiguous,
            GatewaySelection::Absent => GatewayState::Absent,
        };
        let mut desired_state = Self { gateway, ..Self::default() };
        if gateway == GatewayState::Invalid {
            desired_state.keep_gateway(cluster_state, &mut compiled, ring);
        }
        desired_state.documents(cluster_state, &compiled, ring)?;
        let mut listed: Vec<_> = cluster_state.undecodable.values().cloned().chain(found).collect();
        listed.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.resource.cmp(&b.resource)));
        if gateway != GatewayState::Absent {
            let content = Content::of(serde_json::to_string(&PublishedDiagnostics {
                diagnostics: diagnostics(&listed),
            })?);
            let name = object_name(DocumentKind::Diagnostics, "");
            desired_state
                .objects
                .insert(name, DesiredObject { kind: DocumentKind::Diagnostics, source: None, content });
        }
        for diagnostic in listed {
            if let Some(id) = diagnostic.resource.clone() {
                desired_state.diagnostics.entry(id).or_default().push(diagnostic);
            }
        }
        desired_state.compiled = compiled;
        Ok(desired_state)
    }

    fn documents(
        &mut self,
        cluster_state: &ClusterState,
        compiled: &PartialConfig,
        ring: &MacRing,
    ) -> Result<(), serde_json::Error> {
        match self.gateway {
            GatewayState::Absent => return Ok(()),
            GatewayState::Undecodable | GatewayState::Ambiguous => {
                self.keep_all(cluster_state);
                return Ok(());
            }
            GatewayState::Invalid | GatewayState::Valid => {}
        }
        let selected = compiled.selected().cloned();
        let gateway = compiled.gateway.iter().map(|doc| (selected.clone(), ConfigDocument::Gateway(doc)));
        let origins =
            compiled.origins.iter().map(|doc| (id("OriginMcp", &doc.name), ConfigDocument::Origin(doc)));
        let routes =
            compiled.routes.iter().map(|doc| (id("VirtualMcp", &doc.name), ConfigDocument::Route(doc)));
        let teams = compiled.teams.iter().map(|doc| (id("Team", &doc.name), ConfigDocument::Team(doc)));
        for (id, document) in gateway.chain(origins).chain(routes).chain(teams) {
            let Some(id) = id else { continue };
            let generation = cluster_state.tracked.get(&id).map_or(0, |subject| subject.generation);
            let mut names = vec![document.object_name()];
            for key in document.credentials() {
                if let Some(value) = compiled.secrets.get(key) {
                    let name = object_name(DocumentKind::Credential, &key.0);
                    names.push(name.clone());
                    let content = Content::Credential(key.clone(), value.clone());
                    self.objects.entry(name).or_insert_with(|| DesiredObject {
                        kind: DocumentKind::Credential,
                        source: Some((id.clone(), generation)),
                        content,
                    });
                }
            }
            let content = Content::of(serde_json::to_string(&document)?);
            let source = Some((id.clone(), generation));
            self.objects
                .insert(document.object_name(), DesiredObject { kind: document.kind(), source, content });
            self.objects_by_resource.insert(id, names);
        }
        if let Some(base) = self.public_url(cluster_state, compiled, ring) {
            for route in &compiled.routes {
                let url = format!("{}/mcp/{}", base.trim_end_matches('/'), route.slug);
                self.urls.extend(id("VirtualMcp", &route.name).map(|id| (id, url)));
            }
        }
        Ok(())
    }

    fn public_url(
        &self,
        cluster_state: &ClusterState,
        compiled: &PartialConfig,
        ring: &MacRing,
    ) -> Option<String> {
        let published = || published_gateway(cluster_state, ring);
        let gateway = compiled.gateway.clone().or_else(published)?;
        Some(gateway.public_url.to_string())
    }

    /// Keeps the last valid gateway document and its credentials. Routes use the identity providers of that
    /// document, not those of the invalid one. Published routes that name a provider that it lacks stay
    /// unchanged.
    fn keep_gateway(&mut self, cluster_state: &ClusterState, compiled: &mut PartialConfig, ring: &MacRing) {
        let Some(document) = published_gateway(cluster_state, ring) else { return };
        for key in ConfigDocument::Gateway(&document).credentials() {
            self.keep(DocumentKind::Credential, object_name(DocumentKind::Credential, &key.0));
        }
        self.keep(DocumentKind::Gateway, object_name(DocumentKind::Gateway, &document.name));
        let named: BTreeSet<_> = cluster_state
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
            let name = object_name(DocumentKind::Route, &route.uid);
            if !known && cluster_state.published.objects.contains_key(&name) {
                self.keep(DocumentKind::Route, name);
            }
            known
        });
    }

    /// Keeps all published documents, except those whose resource was deleted.
    fn keep_all(&mut self, cluster_state: &ClusterState) {
        let kinds = [
            ("OriginMcp", DocumentKind::Origin),
            ("VirtualMcp", DocumentKind::Route),
            ("Team", DocumentKind::Team),
        ];
        for (id, subject) in &cluster_state.tracked {
            if let Some((_, kind)) = kinds.iter().find(|(name, _)| *name == id.kind) {
                self.keep(*kind, object_name(*kind, cluster_state.effective_uid(&subject.uid)));
            }
        }
        for (name, object) in &cluster_state.published.objects {
            if matches!(object.kind, DocumentKind::Gateway | DocumentKind::Credential) {
                self.keep(object.kind, name.clone());
            }
        }
    }

    fn keep(&mut self, kind: DocumentKind, name: String) {
        self.objects.insert(name, DesiredObject { kind, source: None, content: Content::Unchanged });
    }
}

/// The resource of a document that is named `namespace/name`.
fn id(kind: &str, qualified: &str) -> Option<ResourceId> {
    qualified.split_once('/').map(|(namespace, name)| ResourceId::new(kind, namespace, name))
}

/// Whether the published gateway is a resource that still exists, in a namespace that is not selected. An
/// earlier version selected it. What it serves must not end because of a setting that is missing.
fn is_served_elsewhere(cluster_state: &ClusterState) -> bool {
    let GatewaySelector::InNamespace { namespace, .. } = &cluster_state.resources.gateway_selector else {
        return false;
    };
    let published = cluster_state.published.objects.get(&object_name(DocumentKind::Gateway, ""));
    let Some(source) = published.and_then(|object| object.source.as_deref()) else { return false };
    let elsewhere =
        cluster_state.tracked.keys().find(|id| id.kind == "McpGateway" && id.to_string() == source);
    let is_elsewhere = elsewhere.is_some_and(|id| id.namespace != *namespace);
    if is_elsewhere {
        tracing::error!(
            served = source,
            selected_namespace = %namespace,
            "the served McpGateway is not in the selected namespace; the published config stays unchanged; set \
             gateway.namespace (--gateway) to the namespace of the McpGateway"
        );
    }
    is_elsewhere
}

fn published_gateway(cluster_state: &ClusterState, ring: &MacRing) -> Option<GatewayConfig> {
    let name = object_name(DocumentKind::Gateway, "");
    let object = cluster_state.published.objects.get(&name)?;
    verify_document(ring, DocumentKind::Gateway, &name, &object.data).ok()
}

fn diagnostics(found: &[Diagnostic]) -> Vec<PublishedDiagnostic> {
    let mut documents: Vec<_> = found
        .iter()
        .take(MAX_DIAGNOSTICS)
        .map(|diagnostic| PublishedDiagnostic {
            severity: diagnostic.severity.to_string(),
            resource: diagnostic.resource.as_ref().map(ToString::to_string),
            field: diagnostic.field.clone(),
            reason: diagnostic.reason.to_owned(),
            message: diagnostic.message.clone(),
        })
        .collect();
    if found.len() > MAX_DIAGNOSTICS {
        documents.push(PublishedDiagnostic {
            severity: "warning".to_owned(),
            resource: None,
            field: None,
            reason: "TooManyToList".to_owned(),
            message: "More diagnostics exist. See the conditions of each resource.".to_owned(),
        });
    }
    documents
}

#[cfg(test)]
pub(crate) mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::DynamicObject;
    use kube::runtime::watcher::Event;
    use portcullis_clock::Random;
    use portcullis_config_distribution::{Stamp, sign_document, sign_stamped};
    use portcullis_keyring::Keyring;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster_state::{ClusterEvent, RefusedSerial};
    use crate::publish::difference;

    pub(crate) fn keys() -> Keyring {
        Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap()
    }

    fn gateway() -> Value {
        json!({
            "publicUrl": "https://mcp.example.com",
            "identityProviders": [{"name": "company", "oidc": {"issuer": "https://idp.example.com", "clientId": "x"}}],
            "tenancy": [{"namespaces": ["mcp"], "everyone": true}],
        })
    }

    fn resource(
        cluster_state: &mut ClusterState,
        kind: &'static str,
        name: &str,
        generation: i64,
        spec: &Value,
    ) {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "portcullis.dev/v1alpha1", "kind": kind,
            "metadata": {
                "name": name, "namespace": "mcp", "uid": format!("uid-{kind}-{name}"), "generation": generation,
                "resourceVersion": generation.to_string(),
            },
            "spec": spec,
        }))
        .unwrap();
        cluster_state.handle(ClusterEvent::Resource(kind, Event::Apply(object)));
    }

    /// A gateway, an origin, and virtual MCPs with these names.
    fn cluster_state<'a>(names: impl IntoIterator<Item = &'a str>) -> ClusterState {
        let mut cluster_state = ClusterState::new("publication", []);
        let selector = GatewaySelector::InNamespace { namespace: "mcp".to_owned(), name: None };
        cluster_state.resources.gateway_selector = selector;
        resource(&mut cluster_state, "McpGateway", "gateway", 1, &gateway());
        let origin = json!({"url": "https://mcp.linear.app/mcp", "auth": {"none": {}}});
        resource(&mut cluster_state, "OriginMcp", "linear", 1, &origin);
        for name in names {
            resource(&mut cluster_state, "VirtualMcp", name, 1, &virtual_mcp(None));
        }
        cluster_state
    }

    fn virtual_mcp(description: Option<&str>) -> Value {
        json!({"origins": [{"name": "linear"}], "access": "Everyone", "description": description})
    }

    /// Simulates that all desired documents were applied at this version.
    fn apply(cluster_state: &mut ClusterState, desired_state: &DesiredState, keys: &Keyring, version: u64) {
        for (name, desired) in &desired_state.objects {
            let Content::Document { text, .. } = &desired.content else { continue };
            let installation = keys.installation().unwrap().id.clone();
            let stamp = Stamp { installation, serial: i64::try_from(version).unwrap() };
            let sealed = sign_stamped(&keys.mac, desired.kind, name, &stamp, text).unwrap();
            publish(cluster_state, desired.kind, name, version, &sealed.data());
        }
    }

    fn publish(
        cluster_state: &mut ClusterState,
        kind: DocumentKind,
        name: &str,
        version: u64,
        data: &BTreeMap<String, String>,
    ) {
        let object: ConfigMap = serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "publication", "resourceVersion": version.to_string(),
                "labels": {portcullis_config_distribution::OBJECT_KIND_LABEL: kind.label()},
            },
            "data": data,
        }))
        .unwrap();
        cluster_state.handle(ClusterEvent::ConfigMap(Event::Apply(object)));
    }

    fn desired_state(cluster_state: &ClusterState, keys: &Keyring) -> DesiredState {
        DesiredState::build(cluster_state, &keys.mac).unwrap()
    }

    fn names(found: &[(DocumentKind, String)]) -> Vec<&str> {
        found.iter().map(|(kind, _)| kind.label()).collect()
    }

    #[test]
    fn given_nothing_published_when_compared_then_all_is_written_and_what_others_need_comes_first() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a", "b"]);
        let desired_state = desired_state(&cluster_state, &keys);
        let found = difference(&desired_state, &mut cluster_state.published, &keys);
        assert_eq!(names(&found.write), ["gateway", "origin", "route", "route", "diagnoses"]);
        assert_eq!(found.remove, []);
        let id = ResourceId::new("VirtualMcp", "mcp", "a");
        assert_eq!(desired_state.urls[&id], "https://mcp.example.com/mcp/a");
        assert_eq!(
            desired_state.objects_by_resource[&id],
            [object_name(DocumentKind::Route, "uid-VirtualMcp-a")]
        );
    }

    #[test]
    fn given_all_published_when_one_is_edited_then_one_object_differs_however_many_there_are() {
        let keys = keys();
        let all: Vec<_> = (0..50).map(|number| format!("v{number}")).collect();
        let mut cluster_state = cluster_state(all.iter().map(String::as_str));
        let first = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &first, &keys, 7);
        let again = desired_state(&cluster_state, &keys);
        assert_eq!(difference(&again, &mut cluster_state.published, &keys), Default::default());
        resource(&mut cluster_state, "VirtualMcp", "v7", 2, &virtual_mcp(Some("new")));
        let edited = desired_state(&cluster_state, &keys);
        let found = difference(&edited, &mut cluster_state.published, &keys);
        assert_eq!(
            found.write,
            [(DocumentKind::Route, object_name(DocumentKind::Route, "uid-VirtualMcp-v7"))]
        );
        assert_eq!(found.remove, []);
    }

    #[test]
    fn given_a_document_that_somebody_changed_or_an_old_key_made_then_it_is_written_again() {
        let (keys, others) = (keys(), self::keys());
        let mut cluster_state = cluster_state(["a"]);
        let desired_state = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &desired_state, &others, 7);
        assert_eq!(
            difference(&desired_state, &mut cluster_state.published, &keys).write.len(),
            desired_state.objects.len()
        );
        apply(&mut cluster_state, &desired_state, &keys, 8);
        assert_eq!(difference(&desired_state, &mut cluster_state.published, &keys).write, []);
    }

    #[test]
    fn given_documents_without_serials_or_of_another_installation_then_they_are_written_again() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a"]);
        let desired_state = desired_state(&cluster_state, &keys);
        let route = object_name(DocumentKind::Route, "uid-VirtualMcp-a");
        let Content::Document { text, .. } = &desired_state.objects[&route].content else { panic!() };
        let raw: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
        let without = sign_document(&keys.mac, DocumentKind::Route, &route, &raw).unwrap();
        let stamp = Stamp { installation: "another".to_owned(), serial: 9 };
        let foreign = sign_stamped(&keys.mac, DocumentKind::Route, &route, &stamp, text).unwrap();
        for (version, data) in [(8, without.data()), (9, foreign.data())] {
            apply(&mut cluster_state, &desired_state, &keys, 7);
            publish(&mut cluster_state, DocumentKind::Route, &route, version, &data);
            let found = difference(&desired_state, &mut cluster_state.published, &keys);
            assert_eq!(names(&found.write), ["route"]);
        }
    }

    #[test]
    fn given_a_replica_that_refuses_a_serial_then_the_unchanged_document_is_written_again() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a"]);
        let desired_state = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &desired_state, &keys, 7);
        let route = object_name(DocumentKind::Route, "uid-VirtualMcp-a");
        let refused = |version| [(route.clone(), RefusedSerial { version, accepted: 50 })].into();
        cluster_state.published.refused_serials = refused(6);
        assert_eq!(difference(&desired_state, &mut cluster_state.published, &keys).write, []);
        cluster_state.published.refused_serials = refused(7);
        let found = difference(&desired_state, &mut cluster_state.published, &keys);
        assert_eq!(found.write, [(DocumentKind::Route, route)]);
    }

    #[test]
    fn given_a_resource_that_is_gone_or_unsound_then_its_document_is_removed_last_made_first() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a"]);
        let first = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &first, &keys, 7);
        let broken = json!({"url": "https://mcp.example.com/mcp/a", "auth": {"none": {}}});
        resource(&mut cluster_state, "OriginMcp", "linear", 2, &broken);
        let desired_state = desired_state(&cluster_state, &keys);
        let found = difference(&desired_state, &mut cluster_state.published, &keys);
        assert_eq!(names(&found.remove), ["route", "origin"]);
        assert_eq!(names(&found.write), ["diagnoses"]);
    }

    #[test]
    fn given_a_gateway_that_became_unsound_then_its_last_good_document_stays_and_edits_of_others_go_on() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a"]);
        let first = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &first, &keys, 7);
        let mut unsound = gateway();
        unsound["tokens"] = json!({"access": "2d"});
        unsound["identityProviders"][0]["name"] = json!("another");
        resource(&mut cluster_state, "McpGateway", "gateway", 2, &unsound);
        resource(&mut cluster_state, "VirtualMcp", "a", 2, &virtual_mcp(Some("new")));
        let desired_state = desired_state(&cluster_state, &keys);
        assert_eq!(desired_state.gateway, GatewayState::Invalid);
        let found = difference(&desired_state, &mut cluster_state.published, &keys);
        assert_eq!((names(&found.write), names(&found.remove)), (vec!["route", "diagnoses"], vec![]));
        assert_eq!(desired_state.urls.len(), 1);
        let route = &desired_state.objects[&object_name(DocumentKind::Route, "uid-VirtualMcp-a")];
        let Content::Document { text, .. } = &route.content else { panic!("the route is not written") };
        assert!(text.contains(r#""identityProvider":"company""#), "{text}");
    }

    #[test]
    fn given_a_gateway_that_cannot_be_read_then_all_stays_but_what_was_deleted() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a", "b"]);
        let first = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &first, &keys, 7);
        resource(&mut cluster_state, "McpGateway", "gateway", 2, &json!({"publicUrl": 7}));
        resource(&mut cluster_state, "VirtualMcp", "a", 2, &virtual_mcp(Some("new")));
        let deleted: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "b", "namespace": "mcp", "resourceVersion": "9"},
        }))
        .unwrap();
        cluster_state.handle(ClusterEvent::Resource("VirtualMcp", Event::Delete(deleted)));
        let desired_state = desired_state(&cluster_state, &keys);
        let found = difference(&desired_state, &mut cluster_state.published, &keys);
        assert_eq!((names(&found.write), names(&found.remove)), (vec!["diagnoses"], vec!["route"]));
    }

    #[test]
    fn given_a_served_gateway_outside_the_selected_namespace_then_all_stays_until_it_is_deleted() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a"]);
        let first = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &first, &keys, 7);
        let elsewhere = GatewaySelector::InNamespace { namespace: "release".to_owned(), name: None };
        cluster_state.resources.gateway_selector = elsewhere;
        let object = cluster_state.published.objects.get_mut("gateway").unwrap();
        object.source = Some("McpGateway mcp/gateway".to_owned());
        let kept = desired_state(&cluster_state, &keys);
        let found = difference(&kept, &mut cluster_state.published, &keys);
        assert_eq!(names(&found.remove), Vec::<&str>::new());
        let deleted: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "gateway", "namespace": "mcp", "resourceVersion": "9"},
        }))
        .unwrap();
        cluster_state.handle(ClusterEvent::Resource("McpGateway", Event::Delete(deleted)));
        let gone = desired_state(&cluster_state, &keys);
        let found = difference(&gone, &mut cluster_state.published, &keys);
        assert_eq!(names(&found.remove), ["diagnoses", "route", "origin", "gateway"]);
    }

    #[test]
    fn given_several_gateways_and_no_name_then_all_stays_but_what_was_deleted() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a", "b"]);
        let first = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &first, &keys, 7);
        resource(&mut cluster_state, "McpGateway", "an-older-name", 1, &gateway());
        resource(&mut cluster_state, "VirtualMcp", "a", 2, &virtual_mcp(Some("new")));
        let ambiguous = desired_state(&cluster_state, &keys);
        assert_eq!(ambiguous.gateway, GatewayState::Ambiguous);
        let found = difference(&ambiguous, &mut cluster_state.published, &keys);
        assert_eq!((names(&found.write), names(&found.remove)), (vec!["diagnoses"], vec![]));
        for name in ["gateway", "an-older-name"] {
            let found = &ambiguous.diagnostics[&ResourceId::new("McpGateway", "mcp", name)];
            assert_eq!(found[0].reason, "Ambiguous");
        }
        // A name selects one of them.
        let name = Some("gateway".to_owned());
        cluster_state.resources.gateway_selector =
            GatewaySelector::InNamespace { namespace: "mcp".to_owned(), name };
        let selected = desired_state(&cluster_state, &keys);
        assert_eq!(selected.gateway, GatewayState::Valid);
        let other = &selected.diagnostics[&ResourceId::new("McpGateway", "mcp", "an-older-name")];
        assert_eq!(other[0].reason, "NotSelected");
    }

    #[test]
    fn given_no_gateway_then_nothing_is_published() {
        let keys = keys();
        let mut cluster_state = cluster_state(["a"]);
        let first = desired_state(&cluster_state, &keys);
        apply(&mut cluster_state, &first, &keys, 7);
        let deleted: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "gateway", "namespace": "mcp", "resourceVersion": "9"},
        }))
        .unwrap();
        cluster_state.handle(ClusterEvent::Resource("McpGateway", Event::Delete(deleted)));
        let desired_state = desired_state(&cluster_state, &keys);
        let found = difference(&desired_state, &mut cluster_state.published, &keys);
        assert_eq!(names(&found.remove), ["diagnoses", "route", "origin", "gateway"]);
        assert_eq!(found.write, []);
    }
}
