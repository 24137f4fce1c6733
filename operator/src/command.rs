//! The command line of the operator.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};
use portcullis_compiler::GatewaySelector;
use portcullis_config_distribution::DEFAULT_NAMESPACE;
use portcullis_crds::manifests;
use portcullis_crds::values::syntax::is_dns_label;
use portcullis_key_encryption::KeyEncryptionArgs;

/// The Portcullis operator: reads Portcullis resources in a cluster and publishes config for the data plane.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "the program creates a single value")]
pub(crate) enum Command {
    /// Watch and compile resources, publish config and report status, until SIGTERM.
    ///
    /// The API server comes from the pod's service account, else from $KUBECONFIG, else from ~/.kube/config.
    /// Several operators can run: one holds a Lease and leads, the others wait. $RUST_LOG sets the log filter
    /// (default: info).
    Run(Run),
    /// Map restored resources to their old UIDs, after a restore into another cluster.
    ///
    /// Clients and connected accounts then keep working. Run it after you restore the keys and the resources,
    /// and before you start the operator. It needs permission to read the Secret with the keys.
    Adopt(Adopt),
    /// Print the CustomResourceDefinitions as YAML, ready for `kubectl apply --server-side -f -`.
    Crds {
        /// Print only this kind. Default: all kinds.
        kind: Option<CrdKind>,
    },
}

/// Arguments of `adopt`.
#[derive(clap::Args)]
pub(crate) struct Adopt {
    /// File with the resources of the old cluster, including their UIDs.
    ///
    /// Output of `kubectl get mcpgateways,originmcps,virtualmcps,teams -A -o yaml`, and the ConfigMap
    /// portcullis-identities if the old cluster had one.
    pub(crate) backup: std::path::PathBuf,
    /// Namespace of the published config.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    pub(crate) publication_namespace: String,
    #[command(flatten)]
    pub(crate) encryption: KeyEncryptionArgs,
}

/// Arguments of `run`.
#[derive(clap::Args)]
pub(crate) struct Run {
    /// Namespace of the published config. It must exist, and only the operator may have write access to it.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    pub(crate) publication_namespace: String,
    /// The McpGateway to serve: NAMESPACE/NAME, or NAMESPACE for the only one there. Default: the only one in
    /// --replica-namespace.
    ///
    /// If there are several and no name, none is selected and the published config stays unchanged.
    #[arg(long, value_name = "NAMESPACE[/NAME]", value_parser = parse_gateway)]
    pub(crate) gateway: Option<GatewaySelector>,
    /// Watch only the resources in this namespace. Default: all namespaces.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) watch_namespace: Option<String>,
    /// Namespace of the data plane's pods and of the Lease for leader election. The replicas' Leases are in the
    /// publication namespace.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "default")]
    pub(crate) replica_namespace: String,
    /// Release whose replicas count for `Programmed`: value of the label portcullis.dev/replica-of on pods
    /// and Leases.
    #[arg(long, value_name = "RELEASE", default_value = "portcullis")]
    pub(crate) replica_of: String,
    /// Where the list of replicas comes from: labelled pods, or labelled Leases if replicas do not run as
    /// pods.
    #[arg(long, value_enum, default_value_t = ReplicasFrom::Pods)]
    pub(crate) replicas_from: ReplicasFrom,
    /// Name of this operator in the Lease for leader election. Default: a random name.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub(crate) name: Option<String>,
    /// Listen address for /healthz, /readyz and /metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub(crate) admin_listen: SocketAddr,
    /// Seconds between two probes of an origin's catalog, for origins that need no user's account. 0 disables
    /// probes.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) discovery_interval: u64,
    /// Accept key rings that are not encrypted, and encrypt them. Only to enable encryption for an existing
    /// installation: remove it afterwards, because anyone who can write the Secret could replace the rings.
    #[arg(long, requires = "keys_encryption")]
    pub(crate) keys_accept_unencrypted: bool,
    #[command(flatten)]
    pub(crate) encryption: KeyEncryptionArgs,
}

impl Run {
    /// The McpGateway to serve.
    pub(crate) fn gateway_selector(&self) -> GatewaySelector {
        let only = || GatewaySelector::InNamespace { namespace: self.replica_namespace.clone(), name: None };
        self.gateway.clone().unwrap_or_else(only)
    }
}

/// Parses `NAMESPACE` or `NAMESPACE/NAME`.
fn parse_gateway(text: &str) -> Result<GatewaySelector, &'static str> {
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (namespace, Some(name)),
        None => (text, None),
    };
    if !is_dns_label(namespace) || name.is_some_and(|name| name.is_empty() || name.contains('/')) {
        return Err("write NAMESPACE/NAME, or NAMESPACE for the only McpGateway there");
    }
    Ok(GatewaySelector::InNamespace { namespace: namespace.to_owned(), name: name.map(str::to_owned) })
}

/// Source of the list of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplicasFrom {
    /// Pods with the label. Only ready pods count.
    Pods,
    /// Leases with the label that have a holder.
    Leases,
}

/// A kind on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum CrdKind {
    #[value(name = "McpGateway", alias = "mcpgateway", alias = "mcpgw")]
    McpGateway,
    #[value(name = "OriginMcp", alias = "originmcp", alias = "omcp")]
    OriginMcp,
    #[value(name = "VirtualMcp", alias = "virtualmcp", alias = "vmcp")]
    VirtualMcp,
    #[value(name = "Team", alias = "team", alias = "mcpteam")]
    Team,
}

impl CrdKind {
    fn name(self) -> &'static str {
        match self {
            Self::McpGateway => "McpGateway",
            Self::OriginMcp => "OriginMcp",
            Self::VirtualMcp => "VirtualMcp",
            Self::Team => "Team",
        }
    }
}

/// The CustomResourceDefinitions of one kind or of all, as a stream of YAML documents.
pub(crate) fn crds(kind: Option<CrdKind>) -> anyhow::Result<String> {
    let mut text = String::new();
    for definition in manifests::definitions() {
        if kind.is_none_or(|kind| kind.name() == definition.spec.names.kind) {
            text.push_str("---\n");
            text.push_str(&manifests::yaml(&definition)?);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_no_kind_when_printed_then_all_are_there_and_given_one_then_it_alone() {
        let names = |text: String| text.lines().filter(|line| line.starts_with("  name: ")).count();
        assert_eq!(names(crds(None).unwrap()), 4);
        for kind in CrdKind::value_variants() {
            let text = crds(Some(*kind)).unwrap();
            assert!(text.contains(&format!("    kind: {}\n", kind.name())), "{text}");
            assert_eq!(names(text), 1);
        }
    }

    #[test]
    fn given_a_gateway_then_it_is_a_namespace_and_possibly_a_name() {
        let selector = |arguments: &[&str]| {
            let arguments =
                ["portcullis-operator", "run", "--replica-namespace=release"].iter().chain(arguments);
            match Arguments::try_parse_from(arguments).ok()?.command {
                Command::Run(run) => Some(run.gateway_selector()),
                _ => None,
            }
        };
        let expected = |namespace: &str, name: Option<&str>| {
            let name = name.map(str::to_owned);
            Some(GatewaySelector::InNamespace { namespace: namespace.to_owned(), name })
        };
        assert_eq!(selector(&[]), expected("release", None));
        assert_eq!(selector(&["--gateway=mcp"]), expected("mcp", None));
        assert_eq!(selector(&["--gateway=mcp/main"]), expected("mcp", Some("main")));
        for invalid in ["", "/", "mcp/", "/main", "mcp/a/b", "Mcp"] {
            assert_eq!(selector(&[&format!("--gateway={invalid}")]), None, "{invalid}");
        }
    }

    #[test]
    fn given_the_arguments_then_they_hold_together() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
