//! Selects the gateway that is served. Creation time never decides.

use std::collections::{BTreeSet, HashSet};

use portcullis_crds::McpGateway;
use portcullis_crds::kinds::mcp_gateway::NamespaceSelector;

use super::Compiler;
use super::diagnostics::ResourceDiagnostics;
use super::tenancy::TenancyRules;
use crate::resources::GatewaySelector;
use crate::{Diagnostic, ResourceId, Resources, Severity};

/// Gateways of other namespaces that are compared with the selected one. Tenants may create many.
const MAX_OTHER_GATEWAYS: usize = 32;
/// Namespaces that the message about them names. A tenant's gateway can select every namespace.
const MAX_NAMED_NAMESPACES: usize = 8;

/// Result of the selection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GatewaySelection {
    /// There is no gateway to serve.
    #[default]
    Absent,
    /// The selected gateway cannot be decoded.
    Unreadable(ResourceId),
    /// Several could be served and no name selects one of them.
    Ambiguous,
    /// This one, valid or not.
    Selected(ResourceId),
}

impl<'a> Compiler<'a> {
    /// Selects the gateway. Reports the others of its namespace.
    pub(super) fn select_gateway(&mut self) -> (GatewaySelection, Option<&'a McpGateway>) {
        let selector = &self.resources.gateway_selector;
        let is_candidate = |id: &ResourceId| match selector {
            GatewaySelector::Only => true,
            GatewaySelector::InNamespace { namespace, .. } => id.namespace == *namespace,
        };
        let unreadable = self.resources.unreadable.iter().filter(|id| id.kind == "McpGateway");
        let readable = self.resources.gateways.iter().map(|it| ResourceId::of("McpGateway", &it.metadata));
        let candidates: BTreeSet<_> =
            readable.chain(unreadable.cloned()).filter(|id| is_candidate(id)).collect();
        let selected = match selector {
            GatewaySelector::Only => candidates.first(),
            GatewaySelector::InNamespace { name: Some(name), .. } => {
                candidates.iter().find(|id| id.name == *name)
            }
            GatewaySelector::InNamespace { name: None, .. } if candidates.len() > 1 => {
                self.report_ambiguous(&candidates);
                return (GatewaySelection::Ambiguous, None);
            }
            GatewaySelector::InNamespace { name: None, .. } => candidates.first(),
        };
        for other in candidates.iter().filter(|id| Some(*id) != selected) {
            self.report_other(other, selected);
        }
        let Some(selected) = selected else {
            self.report_absent();
            return (GatewaySelection::Absent, None);
        };
        let gateways = &self.resources.gateways;
        let found = gateways.iter().find(|it| ResourceId::of("McpGateway", &it.metadata) == *selected);
        match found {
            Some(gateway) => (GatewaySelection::Selected(selected.clone()), Some(gateway)),
            None => (GatewaySelection::Unreadable(selected.clone()), None),
        }
    }

    /// Reports namespaces that another gateway admits too. Both gateways are still served. Returns these
    /// namespaces.
    pub(super) fn check_admitted_twice(
        &mut self,
        selected: &McpGateway,
        tenancy: &TenancyRules<'_>,
    ) -> BTreeSet<String> {
        let GatewaySelector::InNamespace { namespace: own, .. } = &self.resources.gateway_selector else {
            return BTreeSet::new();
        };
        let others = self.resources.gateways.iter().filter(|it| it.metadata.namespace.as_ref() != Some(own));
        let mut others: Vec<_> = others.map(|it| (ResourceId::of("McpGateway", &it.metadata), it)).collect();
        others.sort_by(|(a, _), (b, _)| a.cmp(b));
        others.truncate(MAX_OTHER_GATEWAYS);
        let others: Vec<_> =
            others.into_iter().map(|(id, it)| (id, AdmittedByOther::new(it, self.resources))).collect();
        let (mut contested, mut named) = (BTreeSet::new(), Vec::new());
        if others.is_empty() {
            return contested;
        }
        for namespace in tenancy.known_namespaces().into_iter().filter(|it| tenancy.admits(it)) {
            if let Some((other, _)) = others.iter().find(|(_, other)| other.admits(&namespace)) {
                if named.len() < MAX_NAMED_NAMESPACES {
                    named.push(format!("'{namespace}' (by {other})"));
                }
                contested.insert(namespace);
            }
        }
        if !contested.is_empty() {
            self.report_admitted_twice(selected, &named, contested.len());
        }
        contested
    }

    fn report_admitted_twice(&mut self, selected: &McpGateway, named: &[String], count: usize) {
        let more = match count - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "other McpGateways also admit the namespaces {}{more}, so both installations serve their resources; remove each \
             namespace from spec.tenancy of one of them",
            named.join(", ")
        );
        let id = ResourceId::of("McpGateway", &selected.metadata);
        let mut diagnostics = ResourceDiagnostics::new(id, self.resources);
        diagnostics.error("spec.tenancy", "AdmittedTwice", message);
        self.diagnostics.extend(diagnostics.into_parts().0);
    }

    fn report_ambiguous(&mut self, candidates: &BTreeSet<ResourceId>) {
        let names: Vec<_> = candidates.iter().map(|id| id.name.as_str()).collect();
        for id in candidates {
            let message = format!(
                "the namespace '{}' has several McpGateways ({}) and none is selected by name, so the published config stays \
                 unchanged; set gateway.name in the values of the chart (--gateway NAMESPACE/NAME), or remove the others",
                id.namespace,
                names.join(", ")
            );
            let mut diagnostics = ResourceDiagnostics::new(id.clone(), self.resources);
            diagnostics.error("", "Ambiguous", message);
            self.diagnostics.extend(diagnostics.into_parts().0);
        }
    }

    fn report_other(&mut self, other: &ResourceId, selected: Option<&ResourceId>) {
        let (reason, message) = match (&self.resources.gateway_selector, selected) {
            (GatewaySelector::Only, Some(selected)) => (
                "AnotherGateway",
                format!(
                    "{selected} already exists, and an installation has exactly one; remove one of the two"
                ),
            ),
            (_, Some(selected)) => (
                "NotSelected",
                format!("this installation serves {selected}; remove this resource, or change gateway.name"),
            ),
            (_, None) => (
                "NotSelected",
                "this installation serves an McpGateway with another name (gateway.name), which does not exist; create it, \
                 or change gateway.name"
                    .to_owned(),
            ),
        };
        let mut diagnostics = ResourceDiagnostics::new(other.clone(), self.resources);
        diagnostics.error("", reason, message);
        self.diagnostics.extend(diagnostics.into_parts().0);
    }

    fn report_absent(&mut self) {
        self.diagnostics.push(Diagnostic {
            severity: Severity::Error,
            resource: None,
            file: None,
            field: None,
            reason: "NoGateway",
            message: "McpGateway not found; create one with a publicUrl and an identity provider".to_owned(),
        });
    }
}

/// Namespaces that the gateway of another installation admits.
struct AdmittedByOther<'a> {
    names: HashSet<&'a str>,
    selectors: Vec<&'a NamespaceSelector>,
    resources: &'a Resources,
}

impl<'a> AdmittedByOther<'a> {
    fn new(gateway: &'a McpGateway, resources: &'a Resources) -> Self {
        let names = match &gateway.spec.tenancy {
            None => gateway.metadata.namespace.as_deref().into_iter().collect(),
            Some(tenancy) => {
                tenancy.iter().flat_map(|entry| entry.namespaces.iter().map(String::as_str)).collect()
            }
        };
        let entries = gateway.spec.tenancy.iter().flatten();
        let selectors = entries.filter_map(|entry| entry.namespace_selector.as_ref()).collect();
        Self { names, selectors, resources }
    }

    fn admits(&self, namespace: &str) -> bool {
        let labels = || self.resources.namespaces.as_ref()?.get(namespace);
        self.names.contains(namespace)
            || (!self.selectors.is_empty()
                && labels().is_some_and(|labels| self.selectors.iter().any(|it| it.matches(labels))))
    }
}
