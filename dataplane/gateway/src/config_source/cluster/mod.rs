//! The publication of a cluster's operator as the source of the route table.
//!
//! ```text
//! watches    ConfigMaps and Secrets of the publication namespace, by label        watches.rs
//! holdings   verify, keep the last good version of each, assemble the table       holdings.rs
//! follow     swap, tell whether the replica has arrived                           follow.rs
//! report     what is served and refused, in a Lease                               report.rs
//! turning    other key rings, while everything goes on                            turning.rs
//! sealed     the last good publication on disk, for a start without the API       sealed.rs
//! ```
//!
//! *Architecture invariant:* nothing of this lies on the way of a request, and while the API server is away everything that was
//! served goes on.

mod atomic_file;
mod follow;
mod key_rotation;
mod key_source;
mod mirror;
mod object;
mod report;
mod sealed_snapshot;
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
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use follow::SyncStats;

use self::follow::ConfigFollower;
use self::key_rotation::{KeyRotator, follow_file};
use self::key_source::{ActiveKeys, KeySources};
use self::mirror::ConfigMirror;
use self::report::Reporter;
use self::sealed_snapshot::SealedSnapshot;
use super::table_publisher::TablePublisher;
use crate::catalog::Catalogs;
use crate::reencrypt::Reencryption;

/// An API server that does not take a connection within this time is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last report may take when the process ends.
const FINAL_REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a replica reads what it serves, and who it is.
#[derive(Clone)]
pub(crate) struct ClusterSettings {
    /// The publication namespace.
    pub(crate) namespace: String,
    /// A mounted `keys.json`.
    pub(crate) keys: Option<PathBuf>,
    pub(crate) replica: ReplicaIdentity,
}

/// Who a replica is.
#[derive(Clone)]
pub(crate) struct ReplicaIdentity {
    /// Its Pod's name.
    pub(crate) name: String,
    /// Its Pod's namespace.
    pub(crate) namespace: String,
    /// The release that it belongs to.
    pub(crate) release: Option<String>,
    /// Its Pod's UID.
    pub(crate) pod_uid: Option<String>,
}

/// What a replica is, beside what it follows.
pub(crate) struct ReplicaContext {
    /// The public listener.
    pub(crate) listen: SocketAddr,
    /// The private listener.
    pub(crate) private_address: SocketAddr,
    pub(crate) catalogs: Catalogs,
    pub(crate) reencryption: Reencryption,
    pub(crate) events: EventSink,
}

/// A cluster's publication, with the keys that it is verified by.
pub(crate) struct ClusterSource {
    settings: ClusterSettings,
    client: Client,
    active_keys: ActiveKeys,
    custody: KeyEncryption,
    keys_copy: Option<PathBuf>,
    snapshot_path: PathBuf,
}

/// A publication that is being followed.
pub(crate) struct FollowHandle {
    /// Ends only by a fault.
    pub(crate) task: JoinHandle<()>,
    reporter: JoinHandle<()>,
}

impl FollowHandle {
    /// Stops following and lets the Lease go.
    pub(crate) async fn stop(self) {
        self.task.abort();
        if tokio::time::timeout(FINAL_REPORT_TIMEOUT, self.reporter).await.is_err() {
            tracing::warn!("the API server did not hear that this replica ends");
        }
    }
}

impl ClusterSource {
    /// Finds the API server, and waits for the keys. `state` is a folder of this replica's own.
    pub(crate) async fn open(
        settings: ClusterSettings,
        custody: KeyEncryption,
        state: &Path,
        egress: &Egress,
    ) -> anyhow::Result<Self> {
        let mut config = portcullis_kube_endpoint::config().await.context(
            "no Kubernetes API is known here: run in a pod with a service account, or set KUBECONFIG",
        )?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let url = config.cluster_url.clone();
        let client =
            Client::try_from(config).context("the Kubernetes API cannot be reached as configured")?;
        portcullis_kube_endpoint::deny_api_server(egress, &url, &client).await;
        // What is mounted need not be kept.
        let kept = settings.keys.is_none().then(|| state.join("keys.json"));
        let places = KeySources {
            client: &client,
            namespace: &settings.namespace,
            mounted: settings.keys.as_deref(),
            copy: kept.as_deref(),
        };
        let rings = places.wait_for_keys(&custody).await?;
        let sealed = state.join("snapshot.sealed");
        Ok(Self { settings, client, active_keys: rings, custody, keys_copy: kept, snapshot_path: sealed })
    }

    /// The gateway's keys.
    pub(crate) fn keys(&self) -> Arc<Keyring> {
        Arc::clone(&self.active_keys.keys)
    }

    /// The cluster's API.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Begins to follow the publication. `arrived` is told when this replica serves what there is to serve.
    pub(crate) fn follow(
        self,
        publisher: TablePublisher,
        beside: ReplicaContext,
        clock: Clock,
        random: Random,
        tally: SyncStats,
        arrived: oneshot::Sender<()>,
    ) -> FollowHandle {
        let Self { settings, client, active_keys: rings, custody, keys_copy: kept, snapshot_path: sealed } =
            self;
        let keys = Arc::clone(&rings.keys);
        let file = SealedSnapshot::new(sealed, Arc::clone(&keys), random, &settings.namespace);
        let (show_report, reports) = watch::channel(Default::default());
        let (show_publication, publications) = watch::channel(Default::default());
        let ReplicaContext { listen, private_address: private, catalogs, reencryption: resealing, events } =
            beside;
        let (offer, offered) = watch::channel(rings.stored.clone());
        let (tell_turned, turned) = watch::channel(0);
        let turning = KeyRotator {
            active_keys: rings,
            custody,
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
        let reporter = Reporter::new(&client, settings.replica, clock, private, catalogs, resealing);
        let reporter = tokio::spawn(reporter.run(reports));
        tokio::spawn(file.clone().follow(publications));
        let follower = ConfigFollower {
            mirror: ConfigMirror::new(keys, listen),
            publisher,
            snapshot_file: file,
            published_keys: offer,
            key_rotations: turned,
            reports: show_report,
            snapshots: show_publication,
            sync_stats: tally,
            ready: Some(arrived),
        };
        let changes = watches::start(&client, &settings.namespace);
        FollowHandle { task: tokio::spawn(follower.run(changes)), reporter }
    }
}
