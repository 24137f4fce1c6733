use ipnet::IpNet;
use portcullis_crds::McpGateway;
use portcullis_crds::kinds::mcp_gateway::Tenancy;
use url::{Host, Url};

use super::diagnostics::ResourceDiagnostics;
use super::{Compiler, ResourceId};
use crate::{Diagnostic, Severity};

/// What the gateway says about everybody else. Without a gateway nothing is known, and nobody is blamed for it.
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

    /// Whether there is a gateway, though it may not be sound.
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

    /// Whether virtual MCPs of a namespace may be for everyone.
    pub(super) fn allows_everyone(&self, namespace: &str) -> bool {
        self.tenancy().is_none() || self.entries_for(namespace).any(|tenancy| tenancy.everyone)
    }

    /// The private networks that resources of a namespace may reach.
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

    /// Hosts to which origins of a namespace may send people's identity tokens. `None` where tenancy does not say: then nobody but
    /// the gateway's own namespace is served.
    pub(super) fn identity_token_hosts(&self, namespace: &str) -> Option<Vec<String>> {
        self.tenancy()?;
        let hosts = self.entries_for(namespace).flat_map(|tenancy| &tenancy.identity_token_hosts);
        Some(hosts.map(|host| host.to_ascii_lowercase()).collect())
    }

    /// Where tenancy is written, as a person would look for it.
    pub(super) fn tenancy_location(&self) -> String {
        let gateway = self.gateway.map(|gateway| ResourceId::of("McpGateway", &gateway.metadata));
        format!("spec.tenancy of {}", gateway.map_or("the McpGateway".to_owned(), |id| id.to_string()))
    }

    /// Refuses a resource whose namespace the gateway does not serve.
    pub(super) fn check_namespace(&self, diagnostics: &mut ResourceDiagnostics) {
        if !self.admits(diagnostics.namespace()) {
            let namespace = diagnostics.namespace().to_owned();
            let message = format!(
                "the gateway does not serve the namespace '{namespace}'; its owner adds the namespace to {}",
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

/// Whether a URL's host is this machine, by its name or address alone.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl<'a> Compiler<'a> {
    /// The oldest gateway. Any other is told that there is one already.
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
                    message: "there is no McpGateway; write one that says under which publicUrl clients come and who signs \
                              them in"
                        .to_owned(),
                });
            }
            return None;
        };
        for other in others {
            let mut diagnostics =
                ResourceDiagnostics::new(ResourceId::of("McpGateway", &other.metadata), self.resources);
            let chosen = ResourceId::of("McpGateway", &chosen.metadata);
            let message =
                format!("there is {chosen} already, and an installation has one; remove one of the two");
            diagnostics.error("", "AnotherGateway", message);
            self.diagnostics.extend(diagnostics.into_parts().0);
        }
        Some(chosen)
    }
}
