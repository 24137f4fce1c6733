//! Compiles a `VirtualMcp` into a route.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_config::{Access, Capabilities, OriginConfig, RouteConfig, Selection};
use portcullis_crds::kinds::virtual_mcp as kind;
use portcullis_crds::values::syntax::is_dns_label;
use portcullis_crds::{OriginMcp, VirtualMcp};

use super::diagnostics::ResourceDiagnostics;
use super::tenancy::TenancyRules;
use super::{ByResource, selection, slug};
use crate::suggest::did_you_mean;
use crate::{Catalog, ResourceId, Resources};

/// Shared inputs for compiling virtual MCPs.
pub(super) struct RouteContext<'a> {
    /// All origins, valid or not.
    pub(super) existing_origins: &'a BTreeMap<ResourceId, &'a OriginMcp>,
    pub(super) unreadable: &'a BTreeSet<ResourceId>,
    pub(super) tenancy: &'a TenancyRules<'a>,
    /// The valid origins.
    pub(super) origins: &'a ByResource<OriginConfig>,
    pub(super) slugs: &'a BTreeMap<&'a str, ResourceId>,
    pub(super) resources: &'a Resources,
    /// Known catalogs of origins.
    pub(super) catalogs: &'a BTreeMap<ResourceId, Catalog>,
}

pub(super) fn compile(
    diagnostics: &mut ResourceDiagnostics,
    virtual_mcp: &VirtualMcp,
    known: &RouteContext<'_>,
) -> Option<RouteConfig> {
    let spec = &virtual_mcp.spec;
    known.tenancy.check_namespace(diagnostics);
    check_slug(diagnostics, virtual_mcp, known);
    let access = match spec.access {
        None | Some(kind::Access::Teams) => Access::Teams,
        Some(kind::Access::Everyone) => Access::Everyone,
    };
    if access == Access::Everyone && !known.tenancy.allows_everyone(diagnostics.namespace()) {
        let message = format!(
            "virtual MCPs of the namespace '{}' may not use access: Everyone; write access: Teams, or ask the owner of the \
             gateway to set everyone: true for the namespace in {}",
            diagnostics.namespace(),
            known.tenancy.tenancy_location()
        );
        diagnostics.error("spec.access", "EveryoneNotAllowed", message);
    }
    let capabilities = capabilities(diagnostics, spec.capabilities.as_ref());
    let identity_provider = identity_provider(diagnostics, spec.identity_provider.as_deref(), known.tenancy);
    let origin = origin(diagnostics, &spec.origins, &capabilities, known);
    Some(RouteConfig {
        uid: super::uid(&virtual_mcp.metadata, diagnostics.id()),
        name: super::qualified(diagnostics.id()),
        slug: slug::of(virtual_mcp).to_owned(),
        display_name: super::display_name(spec.display_name.as_deref(), diagnostics.id()),
        description: spec.description.clone().unwrap_or_default(),
        suspended: spec.suspend,
        identity_provider: identity_provider?,
        origin: origin?,
        capabilities,
        access,
    })
}

fn check_slug(diagnostics: &mut ResourceDiagnostics, virtual_mcp: &VirtualMcp, known: &RouteContext<'_>) {
    let slug = slug::of(virtual_mcp);
    if !is_dns_label(slug) {
        let hint = match virtual_mcp.spec.slug {
            Some(_) => "use at most 63 lower-case letters, digits and '-'",
            None => {
                "the slug defaults to the name; set spec.slug to at most 63 lower-case letters, digits and '-'"
            }
        };
        diagnostics.error("spec.slug", "InvalidSlug", format!("'{slug}' is not a valid slug; {hint}"));
    }
    if let Some(holder) = known.slugs.get(slug).filter(|holder| *holder != diagnostics.id()) {
        let message = format!("the slug '{slug}' is already used by {holder}; choose another in spec.slug");
        diagnostics.error("spec.slug", "SlugTaken", message);
        return;
    }
    let namespace = diagnostics.namespace();
    if known.tenancy.admits(namespace) && !known.tenancy.allows_slug(namespace, slug) {
        let message = format!(
            "virtual MCPs of the namespace '{namespace}' may not have the slug '{slug}'; choose another in spec.slug, or ask the \
             owner of the gateway to add it to slugs in {}",
            known.tenancy.tenancy_location()
        );
        diagnostics.error("spec.slug", "SlugNotAllowed", message);
        return;
    }
    if !known.slugs.contains_key(slug)
        && slug::reserved_for_another(known.resources, known.tenancy, namespace, slug)
    {
        let message = format!(
            "the slug '{slug}' was freed in another namespace and stays reserved for it for 24 hours; choose another in spec.slug, \
             or wait"
        );
        diagnostics.error("spec.slug", "SlugReserved", message);
    }
}

fn identity_provider(
    diagnostics: &mut ResourceDiagnostics,
    name: Option<&str>,
    tenancy: &TenancyRules<'_>,
) -> Option<String> {
    let there = &tenancy.identity_providers;
    match name {
        _ if !tenancy.has_gateway() => name.or(Some("")).map(str::to_owned),
        None => there.first().map(|name| (*name).to_owned()),
        Some(name) if there.contains(&name) => Some(name.to_owned()),
        Some(name) => {
            let message = format!(
                "the gateway has no identity provider '{name}'{}; it has {}",
                did_you_mean(name, there.iter().copied()),
                there.join(", ")
            );
            diagnostics.error("spec.identityProvider", "IdentityProviderNotFound", message);
            None
        }
    }
}

/// UID of the origin, if the virtual MCP may use it.
fn origin(
    diagnostics: &mut ResourceDiagnostics,
    origins: &[kind::OriginRef],
    capabilities: &Capabilities,
    known: &RouteContext<'_>,
) -> Option<String> {
    let [reference] = origins else {
        let message =
            format!("a virtual MCP must have exactly one origin for now; this one has {}", origins.len());
        diagnostics.error("spec.origins", "NotExactlyOne", message);
        return None;
    };
    let field = "spec.origins[0].name";
    let namespace = reference.namespace.as_deref().unwrap_or(diagnostics.namespace()).to_owned();
    let id = ResourceId::new("OriginMcp", &namespace, &reference.name);
    let foreign = namespace != diagnostics.namespace();
    let found = known.existing_origins.get(&id);
    let allowed = found.is_some_and(|origin| {
        origin.spec.allowed_namespaces.iter().any(|it| it == "*" || it == diagnostics.namespace())
    });
    if foreign && !allowed {
        // The message is the same if the origin does not exist: the contents of other namespaces must not
        // leak.
        let message = format!(
            "{id} not found, or it does not allow the namespace '{}'; ask its owner to add the namespace to its \
             spec.allowedNamespaces",
            diagnostics.namespace()
        );
        diagnostics.error("spec.origins[0].namespace", "OriginNotAllowed", message);
        return None;
    }
    match known.origins.get(&id) {
        Some(document) => {
            if let Some(catalog) = known.catalogs.get(&id) {
                let mut check = |what: &str, field: &str, selection, there: &Option<BTreeSet<String>>| {
                    if let Some(there) = there {
                        warn_of_unknown_names(diagnostics, what, field, selection, there, catalog.observed);
                    }
                };
                check("tool", "tools", &capabilities.tools, &catalog.tools);
                check("prompt", "prompts", &capabilities.prompts, &catalog.prompts);
            }
            Some(document.uid.clone())
        }
        None if found.is_some() || known.unreadable.contains(&id) => {
            diagnostics.error(field, "OriginNotAccepted", format!("{id} is invalid; fix it first"));
            None
        }
        None => {
            let there = known.existing_origins.keys().filter(|it| it.namespace == namespace);
            let hint = did_you_mean(&reference.name, there.map(|it| it.name.as_str()));
            diagnostics.error(field, "OriginNotFound", format!("{id} not found{hint}"));
            None
        }
    }
}

fn capabilities(
    diagnostics: &mut ResourceDiagnostics,
    capabilities: Option<&kind::Capabilities>,
) -> Capabilities {
    let capabilities = capabilities.cloned().unwrap_or_default();
    let mut kind = |name: &str, selection: Option<Selection>| {
        let selection = selection.unwrap_or_default();
        selection::check(diagnostics, &format!("spec.capabilities.{name}"), &selection);
        selection
    };
    let capabilities = Capabilities {
        tools: kind("tools", capabilities.tools.map(selection::tools)),
        prompts: kind("prompts", capabilities.prompts.map(selection::prompts)),
        resources: kind("resources", capabilities.resources.map(selection::resources)),
        resource_templates: kind(
            "resourceTemplates",
            capabilities.resource_templates.map(selection::resources),
        ),
    };
    let Capabilities { tools, prompts, resources, resource_templates } = &capabilities;
    selection::check_uris(diagnostics, "spec.capabilities.resources", resources);
    if [tools, prompts, resources, resource_templates].into_iter().all(selection::is_empty) {
        let message = "the selection of every kind is empty, so clients see nothing; remove 'include' to offer all of a kind";
        diagnostics.warning("spec.capabilities", "NothingOffered", message);
    }
    capabilities
}

/// Warns about names that are not in the origin's catalog. It is not an error, because the origin may add
/// them later.
fn warn_of_unknown_names(
    diagnostics: &mut ResourceDiagnostics,
    what: &str,
    field: &str,
    selection: &Selection,
    there: &BTreeSet<String>,
    observed: bool,
) {
    let include = selection.include.iter().flatten().enumerate();
    let include = include.map(|(index, name)| (format!("include[{index}]"), name));
    let exclude = selection.exclude.iter().enumerate();
    let exclude = exclude.map(|(index, name)| (format!("exclude[{index}]"), name));
    let overrides = selection.overrides.iter().enumerate();
    let overrides = overrides.map(|(index, item)| (format!("overrides[{index}].name"), &item.name));
    for (place, name) in include.chain(exclude).chain(overrides) {
        if name.contains('*') || there.contains(name) {
            continue;
        }
        let hint = did_you_mean(name, there.iter().map(String::as_str));
        let message = if observed {
            format!("the origin has not yet shown a {what} '{name}' to any user{hint}")
        } else {
            format!("the origin has no {what} '{name}'{hint}")
        };
        diagnostics.warning(format!("spec.capabilities.{field}.{place}"), "NotInCatalog", message);
    }
}
