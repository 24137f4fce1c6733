//! Compiles a `Team`.

use std::collections::BTreeSet;

use portcullis_config::{Access, Members, RouteConfig, Selection, TeamAccess, TeamConfig};
use portcullis_crds::Team;
use portcullis_crds::kinds::team;

use super::diagnostics::ResourceDiagnostics;
use super::gateway::check_emails;
use super::tenancy::TenancyRules;
use super::{ByResource, Compiler, selection};
use crate::ResourceId;
use crate::suggest::did_you_mean;

/// Compiles a team. Only entries with an error are left out; the other entries keep their effect.
pub(super) fn compile(
    diagnostics: &mut ResourceDiagnostics,
    team: &Team,
    tenancy: &TenancyRules<'_>,
    known: &BTreeSet<ResourceId>,
    routes: &ByResource<RouteConfig>,
) -> Option<TeamConfig> {
    let spec = &team.spec;
    tenancy.check_namespace(diagnostics);
    if !diagnostics.is_valid() {
        return None;
    }
    check_emails(diagnostics, "spec.members.users", &spec.members.users);
    check_members(diagnostics, &spec.members, tenancy);
    if spec.access.is_empty() {
        diagnostics.warning("spec.access", "NoAccess", "this team gives access to nothing; add virtual MCPs");
    }
    let mut seen = BTreeSet::new();
    let mut access = Vec::new();
    for (index, entry) in spec.access.iter().enumerate() {
        let field = format!("spec.access[{index}]");
        if !seen.insert(&entry.virtual_mcp) {
            let message = format!(
                "an earlier entry has the same virtualMcp '{}'; merge the two, because exclude wins only within one entry",
                entry.virtual_mcp
            );
            diagnostics.error(format!("{field}.virtualMcp"), "Duplicate", message);
            continue;
        }
        access.extend(team_access(diagnostics, &field, entry, known, routes));
    }
    Some(TeamConfig {
        uid: super::uid(&team.metadata, diagnostics.id()),
        name: super::qualified(diagnostics.id()),
        display_name: super::display_name(spec.display_name.as_deref(), diagnostics.id()),
        members: Members {
            groups: spec.members.groups.clone(),
            users: spec.members.users.clone(),
            workloads: spec.members.workloads.clone(),
            service_accounts: spec.members.service_accounts.clone(),
        },
        access,
    })
}

fn check_members(diagnostics: &mut ResourceDiagnostics, members: &team::Members, tenancy: &TenancyRules<'_>) {
    let team::Members { groups, users, workloads, service_accounts } = members;
    if [groups, users, workloads, service_accounts].into_iter().all(Vec::is_empty) {
        let message = "this team has no members; add groups, users, workloads or serviceAccounts";
        diagnostics.warning("spec.members", "NoMembers", message);
    }
    for (index, name) in workloads.iter().enumerate() {
        if tenancy.has_gateway() && !tenancy.workloads.contains(&name.as_str()) {
            let hint = did_you_mean(name, tenancy.workloads.iter().copied());
            let message = format!(
                "the gateway has no workload '{name}'{hint}; ask the owner of the gateway to add it to spec.clients.workloads of \
                 the McpGateway"
            );
            diagnostics.warning(format!("spec.members.workloads[{index}]"), "WorkloadNotFound", message);
        }
    }
}

fn team_access(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    entry: &team::TeamAccess,
    known: &BTreeSet<ResourceId>,
    routes: &ByResource<RouteConfig>,
) -> Option<TeamAccess> {
    let id = ResourceId::new("VirtualMcp", diagnostics.namespace(), &entry.virtual_mcp);
    let Some(route) = routes.get(&id) else {
        let field = format!("{field}.virtualMcp");
        if known.contains(&id) {
            diagnostics.warning(field, "VirtualMcpNotAccepted", format!("{id} is invalid; fix it first"));
        } else {
            let there = known.iter().filter(|it| it.kind == id.kind && it.namespace == id.namespace);
            let hint = did_you_mean(&id.name, there.map(|it| it.name.as_str()));
            diagnostics.error(field, "VirtualMcpNotFound", format!("{id} not found{hint}"));
        }
        return None;
    };
    let tools = selection::visible(entry.tools.clone().unwrap_or_default());
    let field = format!("{field}.tools");
    let before = diagnostics.is_valid();
    selection::check(diagnostics, &field, &tools);
    if before && !diagnostics.is_valid() {
        return None;
    }
    if selection::is_empty(&tools) {
        let message = "the team may connect but use no tool; remove 'include' to allow all tools";
        diagnostics.warning(format!("{field}.include"), "NothingOffered", message);
    }
    warn_of_original_names(diagnostics, &field, &tools, &route.capabilities.tools);
    Some(TeamAccess { route: route.uid.clone(), tools })
}

/// Warns about original names of renamed tools. Teams refer to exposed names, so original names match
/// nothing.
fn warn_of_original_names(
    diagnostics: &mut ResourceDiagnostics,
    field: &str,
    tools: &Selection,
    offered: &Selection,
) {
    for (list, names) in
        [("include", tools.include.as_deref().unwrap_or_default()), ("exclude", &tools.exclude)]
    {
        for (index, name) in names.iter().enumerate() {
            let item = offered.overrides.iter().find(|item| item.name == *name);
            let taken = offered.overrides.iter().any(|item| item.exposed.as_ref() == Some(name));
            if let Some(exposed) = item.and_then(|item| item.exposed.as_ref()).filter(|_| !taken) {
                let message = format!(
                    "'{name}' is offered as '{exposed}', and teams must use that name; write '{exposed}'"
                );
                diagnostics.warning(format!("{field}.{list}[{index}]"), "NoEffect", message);
            }
        }
    }
}

impl Compiler<'_> {
    /// Warns about routes with `access: Teams` that no team names, because no user can use them.
    pub(super) fn warn_of_unassigned_routes(
        &mut self,
        routes: &ByResource<RouteConfig>,
        teams: &[TeamConfig],
    ) {
        let named: BTreeSet<_> =
            teams.iter().flat_map(|team| &team.access).map(|access| access.route.as_str()).collect();
        for (id, route) in routes {
            if route.access == Access::Teams && !named.contains(route.uid.as_str()) {
                let mut diagnostics = ResourceDiagnostics::new(id.clone(), self.resources);
                let message = "no Team names this VirtualMcp, so no user may use it; name it in a Team, or set access: Everyone";
                diagnostics.warning("spec.access", "NobodyHasAccess", message);
                self.diagnostics.extend(diagnostics.into_parts().0);
            }
        }
    }
}
