//! The route table's source in a cluster: the config that the operator publishes.
//!
//! ```text
//! watches          ConfigMaps and Secrets of the publication namespace, by label      watches.rs
//! mirror           verify, keep the last valid version of each, build the table       mirror.rs
//! accepted_serials the highest serial of each object, against replay                  accepted_serials.rs
//! follow           swap the table, report when the replica is ready                   follow.rs
//! report           served and rejected objects, in a Lease                            report.rs
//! key_source       load the key rings at startup                                      key_source.rs
//! key_rotation     switch to changed key rings without interrupting service           key_rotation.rs
//! sealed_snapshot  the last valid config on disk, for a start without the API         sealed_snapshot.rs
//! ```
//!
//! *Architecture invariant:* requests never wait for this module, and the last served config stays in use
//! while the API server is unavailable.

mod accepted_serials;
mod follow;
mod key_rotation;
mod key_source;
mod mirror;
mod object;
mod rejections;
mod report;
mod sealed_snapshot;
mod serial_writer;
#[cfg(test)]
mod tests;
mod watches;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use portcullis_clock::{Clock, Random};
use portcullis_egress::Egress;
use portcullis_events::EventSink;
use portcullis_key_encryption::KeyEncryption;
use portcullis_keyring::Keyring;
use portcullis_store::{PublishedSerialRow, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use follow::SyncStats;

use self::follow::ConfigFollower;
use self::key_rotation::{KeyRotator, follow_file};
use self::key_source::{ActiveKeys, KeySources};
use self::mirror::ConfigMirror;
use self::report::Reporter;
use self::sealed_snapshot::SealedSnapshot;
use self::serial_writer::write_serials;
use super::table_publisher::TablePublisher;
use crate::catalog::Catalogs;
use crate::reencrypt::Reencryption;

/// Timeout for a connection to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of the last report when the process ends.
const FINAL_REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Source of the published config, and the identity of this replica.
#[derive(Clone)]
pub(crate) struct ClusterSettings {
    /// Namespace that the operator publishes to.
    pub(crate) namespace: String,
    /// Path of a mounted `keys.json`; `None` to read the Secret.
    pub(crate) keys: Option<PathBuf>,
    pub(crate) replica: ReplicaIdentity,
}

/// Identity of a replica.
#[derive(Clone)]
pub(crate) struct ReplicaIdentity {
    /// Name of its Pod.
    pub(crate) name: String,
    /// Release that it belongs to.
    pub(crate) release: Option<String>,
}

/// Parts of the replica that the cluster source reports or uses.
pub(crate) struct ReplicaContext {
    /// Address of the public listener.
    pub(crate) listen: SocketAddr,
    /// Address of the private listener.
    pub(crate) private_address: SocketAddr,
    pub(crate) catalogs: Catalogs,
    pub(crate) reencryption: Reencryption,
    pub(crate) events: EventSink,
    /// Keeps the accepted serials of published objects.
    pub(crate) store: Store,
    /// The accepted serials in the store.
    pub(crate) serials: Vec<PublishedSerialRow>,
}

/// The published config of a cluster, and the keys that verify it.
pub(crate) struct ClusterSource {
    settings: ClusterSettings,
    client: Client,
    active_keys: ActiveKeys,
    key_encryption: KeyEncryption,
    keys_copy: Option<PathBuf>,
    snapshot_path: PathBuf,
}

/// Handle of the tasks that follow the published config.
pub(crate) struct FollowHandle {
    /// Ends only after a failure.
    pub(crate) task: JoinHandle<()>,
    reporter: JoinHandle<()>,
}

impl FollowHandle {
    /// Stops following and releases the Lease.
    pub(crate) async fn stop(self) {
        self.task.abort();
        if tokio::time::timeout(FINAL_REPORT_TIMEOUT, self.reporter).await.is_err() {
            tracing::warn!("failed to release the Lease of this replica in time");
        }
    }
}

impl ClusterSource {
    /// Connects to the API server and waits for the keys. `state` is a folder that only this replica uses.
    pub(crate) async fn open(
        settings: ClusterSettings,
        key_encryption: KeyEncryption,
        state: &Path,
        egress: &Egress,
    ) -> anyhow::Result<Self> {
        let mut config = portcullis_kube_endpoint::config().await.context(
            "no Kubernetes API configured; run in a pod with a service account, or set KUBECONFIG",
        )?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let url = config.cluster_url.clone();
        let client = Client::try_from(config).context("invalid Kubernetes API configuration")?;
        portcullis_kube_endpoint::deny_api_server(egress, &url, &client).await;
        // Mounted keys need no copy.
        let kept = settings.keys.is_none().then(|| state.join("keys.json"));
        let places = KeySources {
            client: &client,
            namespace: &settings.namespace,
            mounted: settings.keys.as_deref(),
            copy: kept.as_deref(),
        };
        let rings = places.wait_for_keys(&key_encryption).await?;
        let sealed = state.join("snapshot.sealed");
        Ok(Self {
            settings,
            client,
            active_keys: rings,
            key_encryption,
            keys_copy: kept,
            snapshot_path: sealed,
        })
    }

    pub(crate) fn keys(&self) -> Arc<Keyring> {
        Arc::clone(&self.active_keys.keys)
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Starts to follow the published config. Sends to `arrived` when this replica serves it, or when nothing
    /// is published.
    pub(crate) fn follow(
        self,
        publisher: TablePublisher,
        beside: ReplicaContext,
        clock: Clock,
        random: Random,
        tally: SyncStats,
        arrived: oneshot::Sender<()>,
    ) -> FollowHandle {
        let Self {
            settings,
            client,
            active_keys: rings,
            key_encryption,
            keys_copy: kept,
            snapshot_path: sealed,
        } = self;
        let keys = Arc::clone(&rings.keys);
        let file = SealedSnapshot::new(sealed, Arc::clone(&keys), random, &settings.namespace);
        let (show_report, reports) = watch::channel(Default::default());
        let (show_publication, publications) = watch::channel(Default::default());
        let ReplicaContext {
            listen,
            private_address: private,
            catalogs,
            reencryption,
            events,
            store,
            serials,
        } = beside;
        let (serial_sender, serial_changes) = mpsc::unbounded_channel();
        tokio::spawn(write_serials(store, serial_changes));
        let (offer, offered) = watch::channel(rings.stored.clone());
        let (tell_turned, turned) = watch::channel(0);
        let turning = KeyRotator {
            active_keys: rings,
            key_encryption,
            keys_copy: kept,
            offered,
            key_rotations: tell_turned,
            events,
            clock: clock.clone(),
        };
        tokio::spawn(turning.run());
        let offer = match settings.keys {
            Some(path) => {
                tokio::spawn(follow_file(path, offer));
                None
            }
            None => Some(offer),
        };
        let reporter = Reporter::new(
            &client,
            &settings.namespace,
            settings.replica,
            clock,
            private,
            catalogs,
            reencryption,
        );
        let reporter = tokio::spawn(reporter.run(reports));
        tokio::spawn(file.clone().follow(publications));
        let follower = ConfigFollower {
            mirror: ConfigMirror::new(keys, listen, serials),
            publisher,
            snapshot_file: file,
            published_keys: offer,
            key_rotations: turned,
            serials: serial_sender,
            reports: show_report,
            snapshots: show_publication,
            sync_stats: tally,
            ready: Some(arrived),
        };
        let changes = watches::start(&client, &settings.namespace);
        FollowHandle { task: tokio::spawn(follower.run(changes)), reporter }
    }
}
