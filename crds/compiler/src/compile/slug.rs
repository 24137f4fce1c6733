use std::collections::BTreeMap;

use portcullis_crds::VirtualMcp;

use super::tenancy::TenancyRules;
use crate::{ResourceId, Resources};

/// The slug of a virtual MCP: its own, or its name.
pub(super) fn of(virtual_mcp: &VirtualMcp) -> &str {
    let name = virtual_mcp.metadata.name.as_deref().unwrap_or_default();
    virtual_mcp.spec.slug.as_deref().unwrap_or(name)
}

/// Who has which slug. Asked for twice, the older has it, and at the same age the first by namespace and name; whether it is
/// sound does not matter, so that nobody loses a slug by a passing mistake. Who may attach nothing takes no slug from others.
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
