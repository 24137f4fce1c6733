//! `portcullis serve`: arguments for serving from a folder or from a cluster.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_config_distribution::DEFAULT_NAMESPACE;
use portcullis_key_encryption::KeyEncryptionArgs;

use super::database::DatabaseArgs;
use super::listen::ListenArgs;
use super::run::{ConfigSource, ServeSettings, run};
use super::shutdown_args::ShutdownArgs;
use crate::config_source::cluster;

/// Serve MCP from a folder of manifests or from the config that a cluster's operator publishes. Changes apply
/// without a restart; invalid changes are reported and ignored.
#[derive(Args)]
pub(crate) struct Serve {
    /// Folder of manifests: McpGateway, OriginMcp, VirtualMcp, Team, and the Secrets that they reference.
    #[arg(long, value_name = "DIR", required_unless_present = "kubernetes")]
    manifests: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Folder for keys, resource identities and the SQLite database. In a cluster it holds the data that this
    /// replica needs to start while the API server is unavailable. Created with mode 0700. With
    /// `--manifests`, back it up: stored credentials cannot be decrypted without its keys.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    encryption: KeyEncryptionArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    leave: ShutdownArgs,
}

/// Arguments of a replica in a cluster.
#[derive(Args)]
struct ClusterArgs {
    /// Serve the config that the operator publishes. The Kubernetes API comes from the kubeconfig, as for
    /// kubectl, or from the pod's service account.
    #[arg(long, conflicts_with = "manifests", requires = "replica_name")]
    kubernetes: bool,
    /// Namespace that the operator publishes to.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAMESPACE, requires = "kubernetes")]
    publication_namespace: String,
    /// Name of this replica: its pod's name, and the name of the Lease in the publication namespace in which it
    /// reports.
    #[arg(long, value_name = "NAME", requires = "kubernetes", conflicts_with = "manifests")]
    replica_name: Option<String>,
    /// Release that this replica belongs to: the value of a label of the Lease.
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    replica_of: Option<String>,
    /// Mounted keys.json; changes are followed. Default: the Secret in the publication namespace, with a copy
    /// in the state folder.
    #[arg(long, value_name = "FILE", requires = "kubernetes")]
    keys: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { manifests, cluster, state, database, encryption, listen, leave } = self;
        let source = match manifests {
            Some(manifests) => ConfigSource::Folder(manifests),
            None => ConfigSource::Cluster(cluster.settings()),
        };
        run(
            ServeSettings { source, state, database, encryption, listen, leave },
            std::future::pending(),
            |_| {},
        )
    }
}

impl ClusterArgs {
    fn settings(self) -> cluster::ClusterSettings {
        cluster::ClusterSettings {
            namespace: self.publication_namespace,
            keys: self.keys,
            // clap requires it with `--kubernetes`.
            replica: cluster::ReplicaIdentity {
                name: self.replica_name.unwrap_or_default(),
                release: self.replica_of,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::command::Command;

    fn accepts(arguments: &str) -> bool {
        Command::try_parse_from(
            ["portcullis", "serve", "--state", "s"].into_iter().chain(arguments.split(' ')),
        )
        .is_ok()
    }

    #[test]
    fn given_a_folder_or_a_cluster_when_asked_to_serve_then_exactly_one_is_taken() {
        let cluster = "--kubernetes --replica-name a";
        assert!(accepts("--manifests m"));
        assert!(accepts(cluster));
        assert!(accepts(&format!("{cluster} --replica-of c --keys e --publication-namespace f")));
        assert!(accepts("--manifests m --shutdown-delay 1s --drain 2s --database sqlite://x"));
        assert!(accepts("--manifests m --database-file url"));
        assert!(!accepts("--manifests m --database sqlite://x --database-file url"));
        assert!(!accepts(&format!("{cluster} --manifests m")));
        assert!(!accepts("--kubernetes"));
        assert!(accepts("--kubernetes --replica-name a"));
        assert!(!accepts("--manifests m --replica-name a"));
        assert!(!accepts("--drain 2s"));
    }
}
