//! Compiles resources into config documents and reports diagnostics.
//!
//! ```text
//! gateway_selection            which McpGateway is served
//! gateway -> tenancy           public URL, namespaces and their permissions
//! origin, virtual_mcp, team    each checked against tenancy and the documents before it
//! diagnostics                  diagnostics and credentials of one resource
//! ```

mod address;
mod clients;
mod credential;
mod diagnostics;
mod endpoint;
mod gateway;
mod gateway_selection;
mod origin;
mod origin_auth;
mod provider_client;
mod selection;
mod slug;
mod team;
mod tenancy;
mod virtual_mcp;

use std::collections::{BTreeMap, BTreeSet};

use kube::core::ObjectMeta;
use portcullis_config::{Config, GatewayConfig, OriginConfig, RouteConfig, Secrets, TeamConfig};

use crate::{Diagnostic, ResourceId, Resources};
use credential::SecretResolver;
use diagnostics::ResourceDiagnostics;
use tenancy::TenancyRules;

pub use gateway_selection::GatewaySelection;
pub use slug::of as slug_of;

/// Result of [`compile`].
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Config documents of the valid resources; `None` without a valid gateway.
    pub config: Option<Config>,
    /// Problems of the resources. A resource with an error is not in `config`. A team stays, without its
    /// invalid entries.
    pub diagnostics: Vec<Diagnostic>,
}

/// Config documents of the valid resources, with or without a valid gateway. The gateway's tenancy applies to
/// the other resources even if another part of the gateway is invalid.
#[derive(Clone, Debug, Default)]
pub struct PartialConfig {
    /// Settings of the installation, if they are valid.
    pub gateway: Option<GatewayConfig>,
    /// The upstream MCP servers.
    pub origins: Vec<OriginConfig>,
    /// The virtual MCPs.
    pub routes: Vec<RouteConfig>,
    /// The teams.
    pub teams: Vec<TeamConfig>,
    /// Credentials of the valid resources.
    pub secrets: Secrets,
    /// Which gateway is served.
    pub selection: GatewaySelection,
    /// The virtual MCP that has each slug, valid or not.
    pub slugs: BTreeMap<String, ResourceId>,
    /// Namespaces that the selected gateway admits; empty without a gateway that can be decoded.
    pub admitted: BTreeSet<String>,
    /// Those of them that another gateway admits too.
    pub contested: BTreeSet<String>,
}

impl PartialConfig {
    /// The selected gateway, valid or not.
    #[must_use]
    pub fn selected(&self) -> Option<&ResourceId> {
        match &self.selection {
            GatewaySelection::Selected(id) | GatewaySelection::Unreadable(id) => Some(id),
            GatewaySelection::Absent | GatewaySelection::Ambiguous => None,
        }
    }
}

/// Compiles resources. Without a valid gateway the result has no config.
#[must_use]
pub fn compile(resources: &Resources) -> Compiled {
    let (PartialConfig { gateway, origins, routes, teams, secrets, .. }, diagnostics) =
        compile_partial(resources);
    let config = gateway.map(|gateway| Config { gateway, origins, routes, teams, secrets });
    Compiled { config, diagnostics }
}

/// Compiles resources for a caller that can keep an earlier gateway while the current one is invalid.
#[must_use]
pub fn compile_partial(resources: &Resources) -> (PartialConfig, Vec<Diagnostic>) {
    let mut compiler = Compiler {
        resources,
        credentials: SecretResolver::new(resources),
        diagnostics: Vec::new(),
        secrets: Secrets::default(),
    };
    let (selection, chosen) = compiler.select_gateway();
    let tenancy = TenancyRules::new(chosen, resources);
    let gateway = chosen.and_then(|gateway| {
        compiler.compile_resource(gateway, "McpGateway", |diagnostics, gateway, credentials| {
            gateway::compile(diagnostics, gateway, &tenancy, credentials)
        })
    });
    let contested = chosen.map(|chosen| compiler.check_admitted_twice(chosen, &tenancy)).unwrap_or_default();
    let origins = compiler.origins(&tenancy);
    let slugs = slug::assign(resources, &tenancy);
    let routes = compiler.virtual_mcps(&tenancy, &origins, &slugs);
    let teams = compiler.teams(&tenancy, &routes);
    compiler.warn_of_unassigned_routes(&routes, &teams);
    let Compiler { diagnostics, secrets, .. } = compiler;
    let is_admitted = |namespace: &String| chosen.is_some() && tenancy.admits(namespace);
    let admitted = tenancy.known_namespaces().into_iter().filter(is_admitted).collect();
    let parts = PartialConfig {
        gateway,
        origins: origins.into_values().collect(),
        routes: routes.into_values().collect(),
        teams,
        secrets,
        selection,
        slugs: slugs.into_iter().map(|(slug, id)| (slug.to_owned(), id)).collect(),
        admitted,
        contested,
    };
    (parts, diagnostics)
}

/// Documents by the resource that they are compiled from.
type ByResource<T> = BTreeMap<ResourceId, T>;

struct Compiler<'a> {
    resources: &'a Resources,
    credentials: SecretResolver<'a>,
    diagnostics: Vec<Diagnostic>,
    secrets: Secrets,
}

impl<'a> Compiler<'a> {
    /// Compiles one resource and keeps its document and credentials if it is valid.
    fn compile_resource<R: kube::Resource, T>(
        &mut self,
        resource: &R,
        kind: &str,
        compile: impl FnOnce(&mut ResourceDiagnostics, &R, &SecretResolver<'a>) -> Option<T>,
    ) -> Option<T> {
        let id = ResourceId::of(kind, resource.meta());
        let mut diagnostics = ResourceDiagnostics::new(id, self.resources);
        let document = compile(&mut diagnostics, resource, &self.credentials);
        let document = document.filter(|_| diagnostics.is_valid());
        let (diagnostics, secrets) = diagnostics.into_parts();
        self.diagnostics.extend(diagnostics);
        if document.is_some() {
            secrets.into_iter().for_each(|(key, value)| self.secrets.insert(key, value));
        }
        document
    }

    fn origins(&mut self, tenancy: &TenancyRules) -> ByResource<OriginConfig> {
        let mut documents = ByResource::new();
        for origin in &self.resources.origins {
            let document = self.compile_resource(origin, "OriginMcp", |diagnostics, origin, credentials| {
                origin::compile(diagnostics, origin, tenancy, credentials)
            });
            documents
                .extend(document.map(|document| (ResourceId::of("OriginMcp", &origin.metadata), document)));
        }
        documents
    }

    fn virtual_mcps(
        &mut self,
        tenancy: &TenancyRules,
        origins: &ByResource<OriginConfig>,
        slugs: &BTreeMap<&str, ResourceId>,
    ) -> ByResource<RouteConfig> {
        let there =
            self.resources.origins.iter().map(|it| (ResourceId::of("OriginMcp", &it.metadata), it)).collect();
        let unreadable = &self.resources.unreadable;
        let catalogs = &self.resources.catalogs;
        let known = virtual_mcp::RouteContext {
            existing_origins: &there,
            unreadable,
            tenancy,
            origins,
            slugs,
            resources: self.resources,
            catalogs,
        };
        let mut documents = ByResource::new();
        for virtual_mcp in &self.resources.virtual_mcps {
            let document = self.compile_resource(virtual_mcp, "VirtualMcp", |diagnostics, virtual_mcp, _| {
                virtual_mcp::compile(diagnostics, virtual_mcp, &known)
            });
            let id = ResourceId::of("VirtualMcp", &virtual_mcp.metadata);
            documents.extend(document.map(|document| (id, document)));
        }
        documents
    }

    fn teams(&mut self, tenancy: &TenancyRules, routes: &ByResource<RouteConfig>) -> Vec<TeamConfig> {
        let known: BTreeSet<_> =
            self.resources.virtual_mcps.iter().map(|it| ResourceId::of("VirtualMcp", &it.metadata)).collect();
        let known = &known | &self.resources.unreadable;
        let mut documents = ByResource::new();
        for team in &self.resources.teams {
            let id = ResourceId::of("Team", &team.metadata);
            let mut diagnostics = ResourceDiagnostics::new(id.clone(), self.resources);
            let document = team::compile(&mut diagnostics, team, tenancy, &known, routes);
            self.diagnostics.extend(diagnostics.into_parts().0);
            documents.extend(document.map(|document| (id, document)));
        }
        documents.into_values().collect()
    }
}

/// UID of a resource. Its id takes the place of a missing UID.
fn uid(metadata: &ObjectMeta, id: &ResourceId) -> String {
    metadata.uid.clone().unwrap_or_else(|| id.to_string())
}

/// `namespace/name`.
fn qualified(id: &ResourceId) -> String {
    format!("{}/{}", id.namespace, id.name)
}

fn display_name(given: Option<&str>, id: &ResourceId) -> String {
    given.map(str::trim).filter(|given| !given.is_empty()).unwrap_or(&id.name).to_owned()
}
