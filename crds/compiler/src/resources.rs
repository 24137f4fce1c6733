use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portcullis_crds::{McpGateway, OriginMcp, Team, VirtualMcp};

/// Names a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// Its kind: `OriginMcp`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ResourceId {
    /// A name for a resource.
    #[must_use]
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The name of the resource that has this metadata.
    #[must_use]
    pub fn of(kind: &str, metadata: &ObjectMeta) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// `OriginMcp default/linear`.
impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What an origin is known to offer, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Its tools, where they are known.
    pub tools: Option<BTreeSet<String>>,
    /// Its prompts, where they are known.
    pub prompts: Option<BTreeSet<String>>,
    /// Whether that is what people were shown so far: the origin may have more.
    pub observed: bool,
}

/// All that is compiled together. Every object has its namespace.
#[derive(Clone, Default)]
pub struct Resources {
    /// Exactly one is served.
    pub gateways: Vec<McpGateway>,
    /// Upstream MCP servers.
    pub origins: Vec<OriginMcp>,
    /// What clients connect to.
    pub virtual_mcps: Vec<VirtualMcp>,
    /// Who may use them.
    pub teams: Vec<Team>,
    /// What the others refer to.
    pub secrets: Vec<Secret>,
    /// Resources that are there but could not be read. They are diagnosed already; a reference to one is not a reference to
    /// nothing.
    pub unreadable: BTreeSet<ResourceId>,
    /// What origins are known to offer, where somebody has asked them: names that a curation misspells are told.
    pub catalogs: BTreeMap<ResourceId, Catalog>,
    /// The files that resources came from, for the diagnoses.
    pub files: BTreeMap<ResourceId, String>,
}

impl Resources {
    /// Every object's name and UID (those of Secrets aside, which nothing is bound to), so that a source without an API
    /// server can give them identities.
    pub fn uids_mut(&mut self) -> impl Iterator<Item = (ResourceId, &mut Option<String>)> {
        fn identity<'a>(kind: &str, metadata: &'a mut ObjectMeta) -> (ResourceId, &'a mut Option<String>) {
            (ResourceId::of(kind, metadata), &mut metadata.uid)
        }
        let gateways = self.gateways.iter_mut().map(|it| identity("McpGateway", &mut it.metadata));
        let origins = self.origins.iter_mut().map(|it| identity("OriginMcp", &mut it.metadata));
        let virtual_mcps = self.virtual_mcps.iter_mut().map(|it| identity("VirtualMcp", &mut it.metadata));
        let teams = self.teams.iter_mut().map(|it| identity("Team", &mut it.metadata));
        gateways.chain(origins).chain(virtual_mcps).chain(teams)
    }

    /// Names of all resources, Secrets included.
    pub fn ids(&self) -> impl Iterator<Item = ResourceId> {
        let gateways = self.gateways.iter().map(|it| ResourceId::of("McpGateway", &it.metadata));
        let origins = self.origins.iter().map(|it| ResourceId::of("OriginMcp", &it.metadata));
        let virtual_mcps = self.virtual_mcps.iter().map(|it| ResourceId::of("VirtualMcp", &it.metadata));
        let teams = self.teams.iter().map(|it| ResourceId::of("Team", &it.metadata));
        let secrets = self.secrets.iter().map(|it| ResourceId::of("Secret", &it.metadata));
        gateways.chain(origins).chain(virtual_mcps).chain(teams).chain(secrets)
    }
}

/// Names only: a Secret has no place in a log.
impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids().map(|id| id.to_string())).finish()
    }
}
