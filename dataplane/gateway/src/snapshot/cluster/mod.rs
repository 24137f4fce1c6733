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

mod file;
mod follow;
mod holdings;
mod keys;
mod object;
mod report;
mod sealed;
#[cfg(test)]
mod tests;
mod turning;
mod watches;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use portcullis_ambient::{Clock, Random};
use portcullis_custody::Custody;
use portcullis_events::EventSink;
use portcullis_keys::Keys;
use portcullis_outbound::Egress;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use follow::Tally;

use self::follow::Follower;
use self::holdings::Holdings;
use self::keys::{Places, Rings};
use self::report::Reporter;
use self::sealed::SealedFile;
use self::turning::{Turning, follow_file};
use super::publish::Publisher;
use crate::catalog::Catalogs;
use crate::reseal::Resealing;

/// An API server that does not take a connection within this time is away.
const TO_CONNECT: Duration = Duration::from_secs(5);
/// How long the last report may take when the process ends.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Where a replica reads what it serves, and who it is.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The publication namespace.
    pub(crate) namespace: String,
    /// A mounted `keys.json`.
    pub(crate) keys: Option<PathBuf>,
    pub(crate) replica: Replica,
}

/// Who a replica is.
#[derive(Clone)]
pub(crate) struct Replica {
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
pub(crate) struct Beside {
    /// The public listener.
    pub(crate) listen: SocketAddr,
    /// The private listener.
    pub(crate) private: SocketAddr,
    pub(crate) catalogs: Catalogs,
    pub(crate) resealing: Resealing,
    pub(crate) events: EventSink,
}

/// A cluster's publication, with the keys that it is verified by.
pub(crate) struct Cluster {
    settings: Settings,
    client: Client,
    rings: Rings,
    custody: Custody,
    kept: Option<PathBuf>,
    sealed: PathBuf,
}

/// A publication that is being followed.
pub(crate) struct Following {
    /// Ends only by a fault.
    pub(crate) task: JoinHandle<()>,
    reporter: JoinHandle<()>,
}

impl Following {
    /// Stops following and lets the Lease go.
    pub(crate) async fn end(self) {
        self.task.abort();
        if tokio::time::timeout(LAST_WORD, self.reporter).await.is_err() {
            tracing::warn!("the API server did not hear that this replica ends");
        }
    }
}

impl Cluster {
    /// Finds the API server, and waits for the keys. `state` is a folder of this replica's own.
    pub(crate) async fn open(
        settings: Settings,
        custody: Custody,
        state: &Path,
        egress: &Egress,
    ) -> anyhow::Result<Self> {
        let mut config = portcullis_api_server::config().await.context(
            "no Kubernetes API is known here: run in a pod with a service account, or set KUBECONFIG",
        )?;
        config.connect_timeout = Some(TO_CONNECT);
        let url = config.cluster_url.clone();
        let client =
            Client::try_from(config).context("the Kubernetes API cannot be reached as configured")?;
        portcullis_api_server::keep_away(egress, &url, &client).await;
        // What is mounted need not be kept.
        let kept = settings.keys.is_none().then(|| state.join("keys.json"));
        let places = Places {
            client: &client,
            namespace: &settings.namespace,
            mounted: settings.keys.as_deref(),
            kept: kept.as_deref(),
        };
        let rings = places.obtain(&custody).await?;
        let sealed = state.join("snapshot.sealed");
        Ok(Self { settings, client, rings, custody, kept, sealed })
    }

    /// The gateway's keys.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.rings.keys)
    }

    /// The cluster's API.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Begins to follow the publication. `arrived` is told when this replica serves what there is to serve.
    pub(crate) fn follow(
        self,
        publisher: Publisher,
        beside: Beside,
        clock: Clock,
        random: Random,
        tally: Tally,
        arrived: oneshot::Sender<()>,
    ) -> Following {
        let Self { settings, client, rings, custody, kept, sealed } = self;
        let keys = Arc::clone(&rings.keys);
        let file = SealedFile::new(sealed, Arc::clone(&keys), random, &settings.namespace);
        let (show_report, reports) = watch::channel(Default::default());
        let (show_publication, publications) = watch::channel(Default::default());
        let Beside { listen, private, catalogs, resealing, events } = beside;
        let (offer, offered) = watch::channel(rings.stored.clone());
        let (tell_turned, turned) = watch::channel(0);
        let turning =
            Turning { rings, custody, kept, offered, turned: tell_turned, events, clock: clock.clone() };
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
        let follower = Follower {
            holdings: Holdings::new(keys, listen),
            publisher,
            file,
            offer,
            turned,
            show_report,
            show_publication,
            tally,
            arrived: Some(arrived),
        };
        let changes = watches::start(&client, &settings.namespace);
        Following { task: tokio::spawn(follower.run(changes)), reporter }
    }
}
