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
pub(crate) mod tests;
