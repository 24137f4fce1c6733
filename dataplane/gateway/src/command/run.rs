//! Starts the gateway and runs it until a signal arrives or a component fails; then drains requests and ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use portcullis_egress::{Egress, Proxies};
use portcullis_events::EventSink;
use portcullis_key_encryption::KeyEncryptionArgs;
use portcullis_policy::RouteTableHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::database::DatabaseArgs;
use super::listen::ListenArgs;
use super::shutdown_args::ShutdownArgs;
use super::startup::{LoadedManifests, PreparedSource, Started, Startup, create_private_dir};
use crate::config_source::cluster::{self, SyncStats};
use crate::edge::{CatalogEndpoint, PrivateListener, Readiness, Workers};
use crate::reencrypt::Reencryption;
use crate::shutdown::Shutdown;

/// How long a process that ends waits for queued events to be written.
const EVENT_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// Default `--shutdown-delay` in a cluster: the time that load balancers need to notice that a pod is no
/// longer ready.
const CLUSTER_SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// Settings of [`run`].
pub(super) struct ServeSettings {
    pub(super) source: ConfigSource,
    pub(super) state: PathBuf,
    pub(super) database: DatabaseArgs,
    pub(super) encryption: KeyEncryptionArgs,
    pub(super) listen: ListenArgs,
    pub(super) leave: ShutdownArgs,
}

/// Where the route table comes from.
pub(super) enum ConfigSource {
    /// A folder of manifests.
    Folder(PathBuf),
    /// The config that a cluster's operator publishes.
    Cluster(cluster::ClusterSettings),
}

/// Serves until SIGTERM or SIGINT. `beside` runs concurrently; if it fails, the process ends. `ready` is
/// called with the public address when the gateway is ready for clients.
pub(super) fn run(
    settings: ServeSettings,
    beside: impl Future<Output = anyhow::Result<Infallible>>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    create_private_dir(&settings.state)?;
    let (events, writer) = EventSink::new();
    std::thread::Builder::new().name("events".to_owned()).spawn(move || {
        if let Err(error) = writer.run(std::io::stdout()) {
            tracing::error!(%error, "failed to write events to standard output; further events are lost");
        }
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let result = runtime.block_on(serve(settings, started, events.clone(), beside, ready));
    // Does not wait for a drain that a second signal interrupted.
    runtime.shutdown_background();
    let until = Instant::now() + EVENT_FLUSH_TIMEOUT;
    while !events.is_idle() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(
    settings: ServeSettings,
    started: Instant,
    events: EventSink,
    beside: impl Future<Output = anyhow::Result<Infallible>>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let ServeSettings { source, state, database, encryption, listen, leave } = settings;
    let mut signals = ShutdownSignals::new()?;
    let mut beside = std::pin::pin!(beside);
    // Errors in a folder are reported before the listeners open.
    let prepared = match source {
        ConfigSource::Folder(manifests) => {
            PreparedSource::Folder(Box::new(LoadedManifests::read(&manifests, &state)?))
        }
        ConfigSource::Cluster(settings) => PreparedSource::Cluster(settings),
    };
    let delay = leave.shutdown_delay.unwrap_or(match prepared {
        PreparedSource::Folder(_) => Duration::ZERO,
        PreparedSource::Cluster(_) => CLUSTER_SHUTDOWN_DELAY,
    });
    let listener = TcpListener::bind(listen.listen).await.with_context(|| {
        format!(
            "failed to listen on {}: the address may be in use; choose another with --listen",
            listen.listen
        )
    })?;
    let private_listener = TcpListener::bind(listen.admin_listen).await.with_context(|| {
        format!(
            "failed to listen on {}: the address may be in use; choose another with --admin-listen",
            listen.admin_listen
        )
    })?;
    let (address, private_address) = (listener.local_addr()?, private_listener.local_addr()?);
    let egress = Egress::through(Proxies::from_environment(|name| std::env::var(name).ok())?);
    egress.deny_own_listener(address);
    egress.deny_own_listener(private_address);
    let (tables, readiness, shutdown) =
        (RouteTableHandle::default(), Readiness::default(), Shutdown::default());
    let tally = matches!(prepared, PreparedSource::Cluster(_)).then(SyncStats::default);
    let (witness, reencryption) = (CatalogEndpoint::default(), Reencryption::default());
    let replica = match &prepared {
        PreparedSource::Folder(_) => None,
        PreparedSource::Cluster(settings) => Some(settings.replica.name.clone()),
    };
    let private = PrivateListener {
        readiness: readiness.clone(),
        shutdown: shutdown.clone(),
        tables: tables.clone(),
        events: events.clone(),
        sync_stats: tally.clone(),
        reencryption: reencryption.clone(),
        catalog_endpoint: replica.as_ref().map(|_| witness.clone()),
    };
    let mut private = std::pin::pin!(axum::serve(private_listener, private.router()).into_future());
    let opening = Startup {
        state,
        database: database.clone(),
        address,
        private_address,
        tables,
        shutdown: shutdown.clone(),
        events,
        egress,
        encryption,
        reencryption: reencryption.clone(),
    };
    let opened = tokio::select! {
        opened = opening.start(prepared, tally.unwrap_or_default()) => opened?,
        ended = private.as_mut() => return ended.context("the private listener failed"),
        ended = beside.as_mut() => return ended.map(|never| match never {}),
        () = signals.shutdown_requested() => return Ok(()),
    };
    let Started { services, mut source, ready: arrived } = opened;
    readiness.services_started(services.context.identity.clone());
    if let Some(replica) = replica {
        witness.enable(services.catalog_endpoint_state(replica));
    }
    let mut feed = tokio::spawn(services.context.identity.clone().follow_feed());
    let mut database_url = tokio::spawn(database.follow(services.context.store.clone()));
    let mut accounts = tokio::spawn(services.context.vault.clone().watch_connection_changes());
    let mut reencrypted = tokio::spawn(services.reencrypt(reencryption));
    let count = listen.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let workers = Workers::start(count, leave.drain, &services.public())?;
    let announce = async {
        if arrived.await.is_ok() {
            readiness.mark_config_served();
            tracing::info!(%address, startup_ms = started.elapsed().as_millis(), "ready");
            ready(address);
        }
        std::future::pending::<Infallible>().await
    };
    let ended = tokio::select! {
        never = workers.accept(&listener) => match never {},
        never = announce => match never {},
        ended = private.as_mut() => ended.context("the private listener failed"),
        _ = source.task() => Err(anyhow::anyhow!("the task that follows config changes ended unexpectedly")),
        _ = &mut feed => Err(anyhow::anyhow!("the task that follows revocations ended unexpectedly")),
        _ = &mut accounts => Err(anyhow::anyhow!("the task that follows disconnected accounts ended unexpectedly")),
        _ = &mut database_url => Err(anyhow::anyhow!("the task that follows the database URL ended unexpectedly")),
        _ = &mut reencrypted => Err(anyhow::anyhow!("the task that re-encrypts stored data ended unexpectedly")),
        ended = beside.as_mut() => ended.map(|never| match never {}),
        () = signals.shutdown_requested() => Ok(()),
    };
    shutdown.start_termination();
    let goodbye = async {
        if ended.is_ok() && !delay.is_zero() {
            tracing::info!(
                delay_ms = delay.as_millis(),
                "no longer ready; still serving for the shutdown delay"
            );
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                never = workers.accept(&listener) => match never {},
                _ = private.as_mut() => {}
            }
        }
        shutdown.start_drain();
        workers.accept_backlog(&listener);
        drop(listener);
        let drained = tokio::task::spawn_blocking(move || workers.drain());
        tokio::select! {
            drained = drained => drained.context("the drain failed"),
            _ = private.as_mut() => Ok(()),
        }
    };
    tokio::select! {
        done = goodbye => done?,
        () = signals.shutdown_requested() => tracing::warn!("second shutdown signal; aborting requests in progress"),
    }
    source.stop().await;
    ended
}

/// SIGTERM and SIGINT.
struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ShutdownSignals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn shutdown_requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("shutdown signal received");
    }
}
