//! Assigns slugs to virtual MCPs.

use std::collections::BTreeMap;

use portcullis_crds::VirtualMcp;

use super::tenancy::TenancyRules;
use crate::{ResourceId, Resources};

/// The slug of a virtual MCP: `spec.slug`, or its name.
#[must_use]
pub fn of(virtual_mcp: &VirtualMcp) -> &str {
    let name = virtual_mcp.metadata.name.as_deref().unwrap_or_default();
    virtual_mcp.spec.slug.as_deref().unwrap_or(name)
}

/// The virtual MCP that has each slug. A slug belongs to the UID that already has it. A freed slug is
/// reserved for its namespace. Creation time decides only between newcomers; at the same age, the first by
/// namespace and name.
///
/// Invalid virtual MCPs keep their slug, because a temporary mistake must not give it away. Resources that
/// may not have the slug, or whose namespace the gateway does not serve, claim no slug.
pub(super) fn assign<'a>(
    resources: &'a Resources,
    tenancy: &TenancyRules<'_>,
) -> BTreeMap<&'a str, ResourceId> {
    let claims = &resources.slugs;
    let mut candidates: Vec<_> = resources
        .virtual_mcps
        .iter()
        .map(|it| {
            let slug = of(it);
            let id = ResourceId::of("VirtualMcp", &it.metadata);
            let uid = it.metadata.uid.as_deref();
            let is_newcomer = uid.is_none() || claims.holders.get(slug).map(String::as_str) != uid;
            let created = it.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (is_newcomer, created, id, slug)
        })
        .filter(|(is_newcomer, _, id, slug)| {
            tenancy.admits(&id.namespace)
                && tenancy.allows_slug(&id.namespace, slug)
                && !(*is_newcomer && reserved_for_another(resources, tenancy, &id.namespace, slug))
        })
        .collect();
    candidates.sort();
    let mut holders = BTreeMap::new();
    for (_, _, id, slug) in candidates {
        holders.entry(slug).or_insert(id);
    }
    holders
}

/// Whether a freed slug is reserved for another namespace, which may still have it.
pub(super) fn reserved_for_another(
    resources: &Resources,
    tenancy: &TenancyRules<'_>,
    namespace: &str,
    slug: &str,
) -> bool {
    resources.slugs.reserved.get(slug).is_some_and(|reserved_for| {
        reserved_for != namespace && tenancy.admits(reserved_for) && tenancy.allows_slug(reserved_for, slug)
    })
}
