//! Input of the compiler: all resources of one installation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portcullis_crds::{McpGateway, OriginMcp, Team, VirtualMcp};

/// Kind, namespace and name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// Kind, for example `OriginMcp`.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ResourceId {
    /// The id with these parts.
    #[must_use]
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The id of the resource with this metadata.
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

/// Names of the capabilities that an origin is known to offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Tools; `None` if unknown.
    pub tools: Option<BTreeSet<String>>,
    /// Prompts; `None` if unknown.
    pub prompts: Option<BTreeSet<String>>,
    /// Whether the catalog was observed in responses to users. The origin may then offer more.
    pub observed: bool,
}

/// Which `McpGateway` is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GatewaySelector {
    /// The only one of all. A second one is an error.
    #[default]
    Only,
    /// The one in this namespace with this name; without a name, the only one in the namespace.
    InNamespace {
        /// Namespace.
        namespace: String,
        /// Name.
        name: Option<String>,
    },
}

/// Slugs that virtual MCPs already have or had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlugClaims {
    /// UID of the virtual MCP that has each slug.
    pub holders: BTreeMap<String, String>,
    /// Namespace that each freed slug is reserved for.
    pub reserved: BTreeMap<String, String>,
}

/// All resources that are compiled together. The metadata of every object contains its namespace.
#[derive(Clone, Default)]
pub struct Resources {
    /// Gateways. At most one is served.
    pub gateways: Vec<McpGateway>,
    /// Which of them.
    pub gateway_selector: GatewaySelector,
    /// Labels of all namespaces, for `tenancy[].namespaceSelector`; `None` if they are unknown.
    pub namespaces: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Slugs that are not for newcomers.
    pub slugs: SlugClaims,
    /// Upstream MCP servers.
    pub origins: Vec<OriginMcp>,
    /// Virtual MCPs, which clients connect to.
    pub virtual_mcps: Vec<VirtualMcp>,
    /// Teams, which give access to virtual MCPs.
    pub teams: Vec<Team>,
    /// Secrets that the other resources refer to.
    pub secrets: Vec<Secret>,
    /// Resources that exist but cannot be decoded. Their own diagnostics are already reported; a reference to
    /// one of them is not reported as "not found".
    pub unreadable: BTreeSet<ResourceId>,
    /// Known catalogs of origins. With a catalog, unknown names in a selection cause a warning.
    pub catalogs: BTreeMap<ResourceId, Catalog>,
    /// File of each resource, for diagnostics.
    pub files: BTreeMap<ResourceId, String>,
}

impl Resources {
    /// Id and UID of every object except Secrets, whose UIDs are not used. A source without an API server
    /// assigns the UIDs.
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

    /// Ids of all resources, including Secrets.
    pub fn ids(&self) -> impl Iterator<Item = ResourceId> {
        let gateways = self.gateways.iter().map(|it| ResourceId::of("McpGateway", &it.metadata));
        let origins = self.origins.iter().map(|it| ResourceId::of("OriginMcp", &it.metadata));
        let virtual_mcps = self.virtual_mcps.iter().map(|it| ResourceId::of("VirtualMcp", &it.metadata));
        let teams = self.teams.iter().map(|it| ResourceId::of("Team", &it.metadata));
        let secrets = self.secrets.iter().map(|it| ResourceId::of("Secret", &it.metadata));
        gateways.chain(origins).chain(virtual_mcps).chain(teams).chain(secrets)
    }
}

/// Prints only names, because Secrets must not appear in logs.
impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids().map(|id| id.to_string())).finish()
    }
}
