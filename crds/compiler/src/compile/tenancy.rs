//! Tenancy: namespaces that the gateway serves, and the permissions of their resources.

use ipnet::IpNet;
use portcullis_crds::McpGateway;
use portcullis_crds::kinds::mcp_gateway::Tenancy;
use url::Url;

use super::diagnostics::ResourceDiagnostics;
use super::{Compiler, ResourceId};
use crate::{Diagnostic, Severity};

/// Settings of the gateway that other resources are checked against. Without a gateway these checks are
/// skipped.
pub(super) struct TenancyRules<'a> {
    pub(super) public_url: Option<Url>,
    pub(super) identity_providers: Vec<&'a str>,
    pub(super) workloads: Vec<&'a str>,
    gateway: Option<&'a McpGateway>,
}

impl<'a> TenancyRules<'a> {
    pub(super) fn new(gateway: Option<&'a McpGateway>) -> Self {
        Self {
            public_url: gateway.and_then(|gateway| Url::parse(&gateway.spec.public_url).ok()),
            identity_providers: gateway
                .iter()
                .flat_map(|gateway| &gateway.spec.identity_providers)
                .map(|provider| provider.name.as_str())
                .collect(),
            workloads: gateway
                .iter()
                .flat_map(|gateway| &gateway.spec.clients)
                .flat_map(|clients| &clients.workloads)
                .map(|workload| workload.name.as_str())
                .collect(),
            gateway,
        }
    }

    /// Whether there is a gateway, valid or not.
    pub(super) fn has_gateway(&self) -> bool {
        self.gateway.is_some()
    }

    /// Whether the gateway serves resources of a namespace.
    pub(super) fn admits(&self, namespace: &str) -> bool {
        match (self.gateway, self.tenancy()) {
            (None, _) => true,
            (Some(gateway), None) => gateway.metadata.namespace.as_deref() == Some(namespace),
            (Some(_), Some(_)) => self.entries_for(namespace).next().is_some(),
        }
    }

    /// Whether virtual MCPs of a namespace may use `access: Everyone`.
    pub(super) fn allows_everyone(&self, namespace: &str) -> bool {
        self.tenancy().is_none() || self.entries_for(namespace).any(|tenancy| tenancy.everyone)
    }

    /// Private networks that resources of a namespace may be in.
    pub(super) fn private_networks(&self, namespace: &str) -> Vec<IpNet> {
        let mut networks: Vec<_> = self
            .entries_for(namespace)
            .flat_map(|tenancy| &tenancy.private_networks)
            .map(|cidr| cidr.0)
            .collect();
        networks.sort_unstable();
        networks.dedup();
        networks
    }

    /// Hosts to which users' identity tokens may be sent for origins of a namespace. `None` without a tenancy
    /// list: then only the gateway's own namespace is served, without this restriction.
    pub(super) fn identity_token_hosts(&self, namespace: &str) -> Option<Vec<String>> {
        self.tenancy()?;
        let hosts = self.entries_for(namespace).flat_map(|tenancy| &tenancy.identity_token_hosts);
        Some(hosts.map(|host| host.to_ascii_lowercase()).collect())
    }

    /// Field and resource that contain tenancy, for messages.
    pub(super) fn tenancy_location(&self) -> String {
        let gateway = self.gateway.map(|gateway| ResourceId::of("McpGateway", &gateway.metadata));
        format!("spec.tenancy of {}", gateway.map_or("the McpGateway".to_owned(), |id| id.to_string()))
    }

    /// Reports an error if the gateway does not serve the resource's namespace.
    pub(super) fn check_namespace(&self, diagnostics: &mut ResourceDiagnostics) {
        if !self.admits(diagnostics.namespace()) {
            let namespace = diagnostics.namespace().to_owned();
            let message = format!(
                "the gateway does not serve the namespace '{namespace}'; ask the owner of the gateway to add it to {}",
                self.tenancy_location()
            );
            diagnostics.error("metadata.namespace", "NamespaceNotAllowed", message);
        }
    }

    fn tenancy(&self) -> Option<&'a [Tenancy]> {
        self.gateway?.spec.tenancy.as_deref()
    }

    fn entries_for(&self, namespace: &str) -> impl Iterator<Item = &'a Tenancy> {
        let tenancy = self.tenancy().unwrap_or_default();
        tenancy.iter().filter(move |tenancy| tenancy.namespaces.iter().any(|name| name == namespace))
    }
}

impl<'a> Compiler<'a> {
    /// Selects the oldest gateway. Every other gateway gets an error.
    pub(super) fn choose_gateway(&mut self) -> Option<&'a McpGateway> {
        let mut gateways: Vec<_> = self.resources.gateways.iter().collect();
        gateways.sort_by_cached_key(|gateway| {
            let created = gateway.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, ResourceId::of("McpGateway", &gateway.metadata))
        });
        let Some((chosen, others)) = gateways.split_first() else {
            if !self.resources.unreadable.iter().any(|id| id.kind == "McpGateway") {
                self.diagnostics.push(Diagnostic {
                    severity: Severity::Error,
                    resource: None,
                    file: None,
                    field: None,
                    reason: "NoGateway",
                    message: "McpGateway not found; create one with a publicUrl and an identity provider"
                        .to_owned(),
                });
            }
            return None;
        };
        for other in others {
            let mut diagnostics =
                ResourceDiagnostics::new(ResourceId::of("McpGateway", &other.metadata), self.resources);
            let chosen = ResourceId::of("McpGateway", &chosen.metadata);
            let message = format!(
                "{chosen} already exists, and an installation has exactly one; remove one of the two"
            );
            diagnostics.error("", "AnotherGateway", message);
            self.diagnostics.extend(diagnostics.into_parts().0);
        }
        Some(chosen)
    }
}
