//! Assigns slugs to virtual MCPs.

use std::collections::BTreeMap;

use portcullis_crds::VirtualMcp;

use super::tenancy::TenancyRules;
use crate::{ResourceId, Resources};

/// The slug of a virtual MCP: `spec.slug`, or its name.
pub(super) fn of(virtual_mcp: &VirtualMcp) -> &str {
    let name = virtual_mcp.metadata.name.as_deref().unwrap_or_default();
    virtual_mcp.spec.slug.as_deref().unwrap_or(name)
}

/// The virtual MCP that has each slug. If two claim the same slug, the older one gets it; at the same age,
/// the first by namespace and name. Invalid virtual MCPs keep their slug, because a temporary mistake must
/// not give it away. Resources in namespaces that the gateway does not serve claim no slug.
pub(super) fn assign<'a>(
    resources: &'a Resources,
    tenancy: &TenancyRules<'_>,
) -> BTreeMap<&'a str, ResourceId> {
    let mut candidates: Vec<_> = resources
        .virtual_mcps
        .iter()
        .map(|it| {
            let created = it.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, ResourceId::of("VirtualMcp", &it.metadata), of(it))
        })
        .filter(|(_, id, _)| tenancy.admits(&id.namespace))
        .collect();
    candidates.sort();
    let mut holders = BTreeMap::new();
    for (_, id, slug) in candidates {
        holders.entry(slug).or_insert(id);
    }
    holders
}
