//! Tenancy: namespaces that the gateway serves, and the permissions of their resources.

use std::collections::BTreeSet;

use ipnet::IpNet;
use portcullis_crds::McpGateway;
use portcullis_crds::kinds::mcp_gateway::Tenancy;
use url::Url;

use super::diagnostics::ResourceDiagnostics;
use super::selection::glob_matches;
use crate::{ResourceId, Resources};

/// Settings of the gateway that other resources are checked against. Without a gateway these checks are
/// skipped.
pub(super) struct TenancyRules<'a> {
    pub(super) public_url: Option<Url>,
    pub(super) identity_providers: Vec<&'a str>,
    pub(super) workloads: Vec<&'a str>,
    gateway: Option<&'a McpGateway>,
    resources: &'a Resources,
}

impl<'a> TenancyRules<'a> {
    pub(super) fn new(gateway: Option<&'a McpGateway>, resources: &'a Resources) -> Self {
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
            resources,
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

    /// Whether virtual MCPs of a namespace may have a slug.
    pub(super) fn allows_slug(&self, namespace: &str, slug: &str) -> bool {
        self.tenancy().is_none()
            || self.entries_for(namespace).any(|entry| match &entry.slugs {
                Some(slugs) => slugs.iter().any(|pattern| glob_matches(pattern, slug)),
                None => true,
            })
    }

    /// Whether the labels of namespaces are known.
    pub(super) fn knows_namespaces(&self) -> bool {
        self.resources.namespaces.is_some()
    }

    /// All namespaces that are known: those that exist, those that resources are in, and those that the
    /// gateway names.
    pub(super) fn known_namespaces(&self) -> BTreeSet<String> {
        let existing = self.resources.namespaces.iter().flat_map(|namespaces| namespaces.keys().cloned());
        let used = self.resources.ids().map(|id| id.namespace);
        let unreadable = self.resources.unreadable.iter().map(|id| id.namespace.clone());
        let named = self.tenancy().unwrap_or_default().iter().flat_map(|entry| entry.namespaces.clone());
        existing.chain(used).chain(unreadable).chain(named).collect()
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
        let labels = self.resources.namespaces.as_ref().and_then(|namespaces| namespaces.get(namespace));
        tenancy.iter().filter(move |entry| {
            let selected = entry.namespace_selector.as_ref().zip(labels);
            entry.namespaces.iter().any(|name| name == namespace)
                || selected.is_some_and(|(selector, labels)| selector.matches(labels))
        })
    }
}
