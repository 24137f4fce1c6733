//! Wires the modules together and runs them until SIGTERM or SIGINT.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use portcullis_clock::{Clock, Random};
use portcullis_egress::{Egress, HttpClients, Proxies};
use portcullis_key_encryption::KeyEncryption;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing_subscriber::EnvFilter;

use crate::admin_server::{self, Stats};
use crate::cluster_state::ClusterState;
use crate::command;
use crate::discover::discover;
use crate::leader_election::LeaderElector;
use crate::poll_replicas::poll_replicas;
use crate::reconciler::{Reconciler, ReconcilerContext};
use crate::watch;

/// Changes that are buffered while the reconciler writes. When the channel is full, the watches pause.
const CHANNEL_CAPACITY: usize = 4096;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(settings: command::Run) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(operate(settings));
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

async fn operate(settings: command::Run) -> anyhow::Result<()> {
    let (clock, random) = (Clock::system(), Random::system());
    let config = portcullis_kube_endpoint::config()
        .await
        .context("no cluster is configured; run in a pod with a service account, or set KUBECONFIG")?;
    let url = config.cluster_url.clone();
    let client =
        Client::try_from(config).context("failed to create a Kubernetes client from the configuration")?;
    let egress = Egress::through(Proxies::from_environment(|name| std::env::var(name).ok())?);
    portcullis_kube_endpoint::deny_api_server(&egress, &url, &client).await;
    let listener = TcpListener::bind(settings.admin_listen).await.with_context(|| {
        format!(
            "failed to listen on {}; check whether another process uses the address, or set --admin-listen",
            settings.admin_listen
        )
    })?;
    let identity = match settings.name.clone().filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => format!("operator-{}", random.token()?.get(..8).unwrap_or_default()),
    };
    egress.deny_own_listener(listener.local_addr()?);
    let mut key_encryption = KeyEncryption::new(&settings.encryption, &HttpClients::through(egress.clone()))?;
    if settings.keys_accept_unencrypted {
        tracing::warn!(
            "unencrypted keys are accepted; remove --keys-accept-unencrypted once they are encrypted"
        );
        key_encryption = key_encryption.accepting_unencrypted();
    }
    let stats = Arc::new(Stats::default());
    stats.last_pass_ms.store(clock.now().0, std::sync::atomic::Ordering::Relaxed);
    let private = axum::serve(listener, admin_server::router(Arc::clone(&stats), clock.clone()));

    let (candidate, leading) =
        LeaderElector::new(&client, &settings.replica_namespace, identity.clone(), clock.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let candidacy = tokio::spawn(candidate.run(async {
        stopped.await.ok();
    }));
    let (sender, changes) = mpsc::channel(CHANNEL_CAPACITY);
    watch::start(&client, &settings, &sender);
    let targets = (settings.discovery_interval > 0).then(|| {
        let (targets, wanted) = tokio::sync::watch::channel(Arc::default());
        let interval = Duration::from_secs(settings.discovery_interval);
        tokio::spawn(discover(HttpClients::through(egress), wanted, sender.clone(), interval));
        targets
    });
    let (catalog_sources, wanted) = tokio::sync::watch::channel(None);
    tokio::spawn(poll_replicas(wanted, sender.clone(), clock.clone(), random.clone()));
    drop(sender);
    let mut cluster_state = ClusterState::new(&settings.publication_namespace, watch::sources(&settings));
    cluster_state.resources.gateway_selector = settings.gateway_selector();
    let reconciler = Reconciler::new(ReconcilerContext {
        cluster_state,
        client,
        namespace: settings.publication_namespace,
        replicas_from: settings.replicas_from,
        identity,
        leading,
        stats,
        clock,
        random,
        key_encryption,
        targets,
        catalog_sources,
    });
    let ended = tokio::select! {
        () = reconciler.run(changes) => Err(anyhow::anyhow!("all watches of the API server ended")),
        ended = private.into_future() => ended.context("the admin listener failed"),
        ended = shutdown_signal() => ended,
    };
    // The reconciler has ended and writes no more, so another operator can lead.
    stop.send(()).ok();
    candidacy.await.context("the leader election task failed and did not release the Lease")?;
    ended
}

async fn shutdown_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("received a termination signal, shutting down");
    Ok(())
}
