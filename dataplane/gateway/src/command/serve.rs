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

/// Serves what a folder of manifests says, or what a cluster's operator publishes, and follows its edits: no restart. A broken edit
/// is told and changes nothing.
#[derive(Args)]
pub(crate) struct Serve {
    /// The folder of manifests: McpGateway, OriginMcp, VirtualMcp, Team, and the Secrets that they name.
    #[arg(long, value_name = "DIR", required_unless_present = "kubernetes")]
    manifests: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Where keys, identities and the database are kept; in a cluster, what this replica needs to start while the API server is
    /// away. Made with mode 0700. With a folder, back it up: without its keys, stored credentials cannot be read.
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

/// What a replica in a cluster is told.
#[derive(Args)]
struct ClusterArgs {
    /// Serve what the operator publishes. The API is found as kubectl finds it, or as a pod does.
    #[arg(long, conflicts_with = "manifests", requires_all = ["replica_name", "replica_namespace"])]
    kubernetes: bool,
    /// Where the operator publishes.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAMESPACE, requires = "kubernetes")]
    publication_namespace: String,
    /// This replica's name, its pod's: of the Lease in which it reports.
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    replica_name: Option<String>,
    /// The namespace of that Lease, the pod's.
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    replica_namespace: Option<String>,
    /// The release that this replica belongs to: a label of the Lease.
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    replica_of: Option<String>,
    /// The UID of the pod, which then owns the Lease.
    #[arg(long, value_name = "UID", requires = "kubernetes")]
    pod_uid: Option<String>,
    /// A mounted keys.json, followed as it changes. Left out: the Secret of the publication namespace, with a copy in the state folder.
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
            // Both are required beside `--kubernetes`.
            replica: cluster::ReplicaIdentity {
                name: self.replica_name.unwrap_or_default(),
                namespace: self.replica_namespace.unwrap_or_default(),
                release: self.replica_of,
                pod_uid: self.pod_uid,
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
        let cluster = "--kubernetes --replica-name a --replica-namespace b";
        assert!(accepts("--manifests m"));
        assert!(accepts(cluster));
        assert!(accepts(&format!("{cluster} --replica-of c --pod-uid d --keys e --publication-namespace f")));
        assert!(accepts("--manifests m --shutdown-delay 1s --drain 2s --database sqlite://x"));
        assert!(accepts("--manifests m --database-file url"));
        assert!(!accepts("--manifests m --database sqlite://x --database-file url"));
        assert!(!accepts(&format!("{cluster} --manifests m")));
        assert!(!accepts("--kubernetes"));
        assert!(!accepts("--kubernetes --replica-name a"));
        assert!(!accepts("--manifests m --replica-name a"));
        assert!(!accepts("--drain 2s"));
    }
}
