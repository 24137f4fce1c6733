//! The watches: one task each, which sends the API server's events to the reconciler. An interrupted watch
//! resumes with backoff; until then the last known state stays in use.

use std::fmt::Debug;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, ExponentialBackoff};
use kube::{Api, Client, Resource};
use portcullis_config_distribution::REPLICA_OF_LABEL;
use portcullis_crds::{CREDENTIAL_LABEL, McpGateway, OriginMcp, Team, VirtualMcp};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;

use crate::cluster_state::{ClusterEvent, WatchSource};
use crate::command::{ReplicasFrom, Run};

/// The API resource of one of the four kinds.
pub(crate) fn api_resource(kind: &str) -> ApiResource {
    match kind {
        "McpGateway" => ApiResource::erase::<McpGateway>(&()),
        "OriginMcp" => ApiResource::erase::<OriginMcp>(&()),
        "VirtualMcp" => ApiResource::erase::<VirtualMcp>(&()),
        _ => ApiResource::erase::<Team>(&()),
    }
}

pub(crate) const KINDS: [&str; 4] = ["McpGateway", "OriginMcp", "VirtualMcp", "Team"];

/// The watches that these settings require.
pub(crate) fn sources(settings: &Run) -> Vec<WatchSource> {
    let mut sources = KINDS.map(WatchSource::Resources).to_vec();
    sources.extend([
        WatchSource::Credentials,
        WatchSource::ConfigMaps,
        WatchSource::Secrets,
        WatchSource::Leases,
    ]);
    sources.extend(settings.watch_namespace.is_none().then_some(WatchSource::Namespaces));
    sources.extend((settings.replicas_from == ReplicasFrom::Pods).then_some(WatchSource::Pods));
    sources
}

/// Starts all watches. They run until the process ends.
pub(crate) fn start(client: &Client, settings: &Run, changes: &Sender<ClusterEvent>) {
    let everything = watcher::Config::default;
    for kind in KINDS {
        let resource = api_resource(kind);
        let api: Api<DynamicObject> = match &settings.watch_namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        spawn_watch(kind, api, everything(), changes, move |event| ClusterEvent::Resource(kind, event));
    }
    if settings.watch_namespace.is_none() {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        spawn_watch("namespaces", namespaces, everything(), changes, ClusterEvent::Namespace);
    }
    let credentials: Api<Secret> = match &settings.watch_namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let opted_in = everything().labels(&format!("{CREDENTIAL_LABEL}=true"));
    spawn_watch("credentials", credentials, opted_in, changes, ClusterEvent::Credential);
    let published = settings.publication_namespace.as_str();
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), published);
    spawn_watch("published ConfigMaps", config_maps, everything(), changes, ClusterEvent::ConfigMap);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), published);
    spawn_watch("published Secrets", secrets, everything(), changes, ClusterEvent::Secret);
    let ours = || everything().labels(&format!("{REPLICA_OF_LABEL}={}", settings.replica_of));
    let leases: Api<Lease> = Api::namespaced(client.clone(), published);
    spawn_watch("Leases of replicas", leases, ours(), changes, ClusterEvent::Lease);
    if settings.replicas_from == ReplicasFrom::Pods {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &settings.replica_namespace);
        spawn_watch("pods of replicas", pods, ours(), changes, ClusterEvent::Pod);
    }
}

/// Delays before a watch resumes. They stay short, because no change takes effect until the watch is back.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_max_delay(Duration::from_secs(4))
    .without_max_times();

fn spawn_watch<K>(
    what: &'static str,
    api: Api<K>,
    config: watcher::Config,
    changes: &Sender<ClusterEvent>,
    change: impl Fn(Event<K>) -> ClusterEvent + Send + 'static,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let changes = changes.clone();
    tokio::spawn(async move {
        let backoff = ExponentialBackoff::from(BACKOFF);
        let mut events = watcher::watcher(api, config).backoff(backoff).into_stream().boxed();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    if changes.send(change(event)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, watch = what, "watch interrupted, resuming"),
            }
        }
    });
}
