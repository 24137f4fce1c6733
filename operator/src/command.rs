//! The command line.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};
use portcullis_config_distribution::DEFAULT_NAMESPACE;
use portcullis_crds::manifests;
use portcullis_key_encryption::KeyEncryptionArgs;

/// The operator of Portcullis: reads its resources in a cluster and publishes what the data plane serves.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, once")]
pub(crate) enum Command {
    /// Watches, compiles, publishes and reports, until SIGTERM.
    ///
    /// The API server is found by the pod's service account, else by $KUBECONFIG, else by ~/.kube/config. Several may run: one
    /// leads by a Lease, the others wait. $RUST_LOG sets what is logged (default: info).
    Run(Run),
    /// After a restore into another cluster: lets its resources go by the identities that they had, so that clients and connected
    /// accounts go on.
    ///
    /// Run it when the keys and the resources are there, before the operator. Needs to read the Secret with the keys.
    Adopt(Adopt),
    /// Prints the CustomResourceDefinitions as YAML, ready for `kubectl apply --server-side -f -`.
    Crds {
        /// One kind only.
        kind: Option<CrdKind>,
    },
}

/// What `adopt` takes.
#[derive(clap::Args)]
pub(crate) struct Adopt {
    /// The resources as the old cluster gave them, with their UIDs: `kubectl get mcpgateways,originmcps,virtualmcps,teams -A -o yaml`,
    /// and its ConfigMap portcullis-identities, if it had one.
    pub(crate) backup: std::path::PathBuf,
    /// The namespace that holds what is published.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    pub(crate) publication_namespace: String,
    #[command(flatten)]
    pub(crate) encryption: KeyEncryptionArgs,
}

/// What `run` takes.
#[derive(clap::Args)]
pub(crate) struct Run {
    /// The namespace that holds what is published. It must exist, and nobody but the operator may write there.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    pub(crate) publication_namespace: String,
    /// Watch the resources of one namespace only. Default: all.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) watch_namespace: Option<String>,
    /// The namespace of the data plane's pods and their Leases, and of the Lease by which operators choose who leads.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "default")]
    pub(crate) replica_namespace: String,
    /// The release whose replicas count for `Programmed`: the value of the label portcullis.dev/replica-of on pods and Leases.
    #[arg(long, value_name = "RELEASE", default_value = "portcullis")]
    pub(crate) replica_of: String,
    /// Which replicas there are: the pods that carry the label, or, where replicas are no pods, the Leases that do.
    #[arg(long, value_enum, default_value_t = ReplicasFrom::Pods)]
    pub(crate) replicas_from: ReplicasFrom,
    /// What this operator calls itself in the Lease. Default: a random name.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub(crate) name: Option<String>,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub(crate) admin_listen: SocketAddr,
    /// Seconds between two looks at an origin's catalog, where it takes no person's account. 0: never look.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) discovery_interval: u64,
    #[command(flatten)]
    pub(crate) encryption: KeyEncryptionArgs,
}

/// Which replicas there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplicasFrom {
    /// The pods; those that are ready count.
    Pods,
    /// The Leases that somebody holds.
    Leases,
}

/// The kinds, as one writes them.
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

/// The definitions of one kind or all, as a stream of YAML documents.
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
    fn given_the_arguments_then_they_hold_together() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
