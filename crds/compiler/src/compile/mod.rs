//! Resources in, the contract out, with a diagnosis for whatever is wrong.
//!
//! ```text
//! gateway -> surroundings      where it is reached, who may attach what
//! origin, virtual_mcp, team    each against its surroundings and those before it
//! case                         one resource under examination: what was found, which credentials it takes
//! ```

mod address;
mod case;
mod clients;
mod credential;
mod endpoint;
mod gateway;
mod origin;
mod origin_auth;
mod provider_client;
mod selection;
mod slug;
mod surroundings;
mod team;
mod virtual_mcp;

use std::collections::{BTreeMap, BTreeSet};

use kube::core::ObjectMeta;
use portcullis_contract::{Contract, GatewayDoc, OriginDoc, RouteDoc, Secrets, TeamDoc};

use crate::{Diagnosis, ResourceId, Resources};
use case::Case;
use credential::Credentials;
use surroundings::Surroundings;

/// What came of resources.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What is sound; `None` without a usable gateway.
    pub contract: Option<Contract>,
    /// What is wrong. A resource with an error is not in the contract; a team is, without the entries that have one.
    pub diagnoses: Vec<Diagnosis>,
}

/// What is sound among resources, whether or not the gateway is. The gateway's tenancy holds for the rest even where something
/// else of the gateway is wrong.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The settings of the installation, if they are sound.
    pub gateway: Option<GatewayDoc>,
    /// The upstream MCP servers.
    pub origins: Vec<OriginDoc>,
    /// The virtual MCPs.
    pub routes: Vec<RouteDoc>,
    /// Who may use them.
    pub teams: Vec<TeamDoc>,
    /// The credentials of what is sound.
    pub secrets: Secrets,
}

/// Compiles resources.
#[must_use]
pub fn compile(resources: &Resources) -> Compiled {
    let (Parts { gateway, origins, routes, teams, secrets }, diagnoses) = compile_parts(resources);
    let contract = gateway.map(|gateway| Contract { gateway, origins, routes, teams, secrets });
    Compiled { contract, diagnoses }
}

/// Compiles resources for whoever can serve on with an earlier gateway while the present one is not sound.
#[must_use]
pub fn compile_parts(resources: &Resources) -> (Parts, Vec<Diagnosis>) {
    let mut compiler = Compiler {
        resources,
        credentials: Credentials::new(resources),
        diagnoses: Vec::new(),
        secrets: Secrets::default(),
    };
    let chosen = compiler.choose_gateway();
    let surroundings = Surroundings::new(chosen);
    let gateway = chosen.and_then(|gateway| {
        compiler.examine(gateway, "McpGateway", |case, gateway, credentials| {
            gateway::compile(case, gateway, &surroundings, credentials)
        })
    });
    let origins = compiler.origins(&surroundings);
    let routes = compiler.virtual_mcps(&surroundings, &origins);
    let teams = compiler.teams(&surroundings, &routes);
    compiler.warn_of_routes_for_nobody(&routes, &teams);
    let Compiler { diagnoses, secrets, .. } = compiler;
    let parts = Parts {
        gateway,
        origins: origins.into_values().collect(),
        routes: routes.into_values().collect(),
        teams,
        secrets,
    };
    (parts, diagnoses)
}

/// Documents by the resources that they come from.
type Docs<T> = BTreeMap<ResourceId, T>;

struct Compiler<'a> {
    resources: &'a Resources,
    credentials: Credentials<'a>,
    diagnoses: Vec<Diagnosis>,
    secrets: Secrets,
}

impl<'a> Compiler<'a> {
    /// Examines one resource, and keeps its document and credentials if it is sound.
    fn examine<R: kube::Resource, T>(
        &mut self,
        resource: &R,
        kind: &str,
        compile: impl FnOnce(&mut Case, &R, &Credentials<'a>) -> Option<T>,
    ) -> Option<T> {
        let id = ResourceId::of(kind, resource.meta());
        let mut case = Case::new(id, self.resources);
        let document = compile(&mut case, resource, &self.credentials);
        let document = document.filter(|_| case.is_sound());
        let (diagnoses, secrets) = case.close();
        self.diagnoses.extend(diagnoses);
        if document.is_some() {
            secrets.into_iter().for_each(|(key, value)| self.secrets.insert(key, value));
        }
        document
    }

    fn origins(&mut self, surroundings: &Surroundings) -> Docs<OriginDoc> {
        let mut documents = Docs::new();
        for origin in &self.resources.origins {
            let document = self.examine(origin, "OriginMcp", |case, origin, credentials| {
                origin::compile(case, origin, surroundings, credentials)
            });
            documents
                .extend(document.map(|document| (ResourceId::of("OriginMcp", &origin.metadata), document)));
        }
        documents
    }

    fn virtual_mcps(&mut self, surroundings: &Surroundings, origins: &Docs<OriginDoc>) -> Docs<RouteDoc> {
        let slugs = slug::holders(self.resources, surroundings);
        let there =
            self.resources.origins.iter().map(|it| (ResourceId::of("OriginMcp", &it.metadata), it)).collect();
        let unreadable = &self.resources.unreadable;
        let catalogs = &self.resources.catalogs;
        let known =
            virtual_mcp::Known { there: &there, unreadable, surroundings, origins, slugs: &slugs, catalogs };
        let mut documents = Docs::new();
        for virtual_mcp in &self.resources.virtual_mcps {
            let document = self.examine(virtual_mcp, "VirtualMcp", |case, virtual_mcp, _| {
                virtual_mcp::compile(case, virtual_mcp, &known)
            });
            let id = ResourceId::of("VirtualMcp", &virtual_mcp.metadata);
            documents.extend(document.map(|document| (id, document)));
        }
        documents
    }

    fn teams(&mut self, surroundings: &Surroundings, routes: &Docs<RouteDoc>) -> Vec<TeamDoc> {
        let known: BTreeSet<_> =
            self.resources.virtual_mcps.iter().map(|it| ResourceId::of("VirtualMcp", &it.metadata)).collect();
        let known = &known | &self.resources.unreadable;
        let mut documents = Docs::new();
        for team in &self.resources.teams {
            let id = ResourceId::of("Team", &team.metadata);
            let mut case = Case::new(id.clone(), self.resources);
            let document = team::compile(&mut case, team, surroundings, &known, routes);
            self.diagnoses.extend(case.close().0);
            documents.extend(document.map(|document| (id, document)));
        }
        documents.into_values().collect()
    }
}

/// The identity of a resource: its UID, or what is as good as one where nobody has given any.
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
