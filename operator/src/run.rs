//! Puts the parts together and runs them until the process is told to end.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use portcullis_ambient::{Clock, Random};
use portcullis_custody::Custody;
use portcullis_outbound::{Clients, Egress, Proxies};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing_subscriber::EnvFilter;

use crate::command;
use crate::discover::discover;
use crate::engine::{Engine, Parts};
use crate::leader::Candidate;
use crate::observe::observe;
use crate::private::{self, Figures};
use crate::watch;
use crate::world::World;

/// Changes that wait while the loop writes; beyond, the watches wait.
const CHANGES: usize = 4096;

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
    let config = portcullis_api_server::config()
        .await
        .context("no cluster is configured: run in a pod with a service account, or set KUBECONFIG")?;
    let url = config.cluster_url.clone();
    let client = Client::try_from(config).context("the Kubernetes API cannot be reached as configured")?;
    let egress = Egress::through(Proxies::from_environment(|name| std::env::var(name).ok())?);
    portcullis_api_server::keep_away(&egress, &url, &client).await;
    let listener = TcpListener::bind(settings.admin_listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another process using it? choose one with --admin-listen",
            settings.admin_listen
        )
    })?;
    let identity = match settings.name.clone().filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => format!("operator-{}", random.token()?.get(..8).unwrap_or_default()),
    };
    egress.never_own_listener(listener.local_addr()?);
    let custody = Custody::new(&settings.encryption, &Clients::through(egress.clone()))?;
    let figures = Arc::new(Figures::default());
    figures.beat.store(clock.now().0, std::sync::atomic::Ordering::Relaxed);
    let private = axum::serve(listener, private::router(Arc::clone(&figures), clock.clone()));

    let (candidate, leading) =
        Candidate::new(&client, &settings.replica_namespace, identity.clone(), clock.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let candidacy = tokio::spawn(candidate.run(async {
        stopped.await.ok();
    }));
    let (sender, changes) = mpsc::channel(CHANGES);
    watch::start(&client, &settings, &sender);
    let targets = (settings.discovery_interval > 0).then(|| {
        let (targets, wanted) = tokio::sync::watch::channel(Arc::default());
        let interval = Duration::from_secs(settings.discovery_interval);
        tokio::spawn(discover(Clients::through(egress), wanted, sender.clone(), interval));
        targets
    });
    let (witnesses, wanted) = tokio::sync::watch::channel(None);
    tokio::spawn(observe(wanted, sender.clone(), clock.clone(), random.clone()));
    drop(sender);
    let world = World::new(&settings.publication_namespace, watch::sources(&settings));
    let engine = Engine::new(Parts {
        world,
        client,
        namespace: settings.publication_namespace,
        replicas_from: settings.replicas_from,
        identity,
        leading,
        figures,
        clock,
        random,
        custody,
        targets,
        witnesses,
    });
    let ended = tokio::select! {
        () = engine.run(changes) => Err(anyhow::anyhow!("the cluster is no longer watched")),
        ended = private.into_future() => ended.context("the private listener failed"),
        ended = asked_to_end() => ended,
    };
    // The loop is over, so nothing is written any more: the next may begin.
    stop.send(()).ok();
    candidacy.await.context("the Lease was not given up")?;
    ended
}

async fn asked_to_end() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("asked to end");
    Ok(())
}
