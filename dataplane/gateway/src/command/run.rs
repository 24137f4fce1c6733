//! Starts the gateway and runs it until a signal arrives or a component fails; then drains requests and ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use portcullis_egress::{Egress, Proxies};
use portcullis_events::EventSink;
use portcullis_key_encryption::KeyEncryptionArgs;
use portcullis_policy::RouteTableHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::database::DatabaseArgs;
use super::drain::with_private_listener;
use super::listen::ListenArgs;
use super::shutdown_args::ShutdownArgs;
use super::startup::{LoadedManifests, PreparedSource, Services, Started, Startup, create_private_dir};
use crate::config_source::cluster::{self, SyncStats};
use crate::edge::{CatalogEndpoint, PrivateListener, Readiness, Workers};
use crate::limits::Limits;
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
    let prepared = prepare(source, &state)?;
    let delay = leave.shutdown_delay.unwrap_or(match prepared {
        PreparedSource::Folder(_) => Duration::ZERO,
        PreparedSource::Cluster(_) => CLUSTER_SHUTDOWN_DELAY,
    });
    let listener = bind(listen.listen, "--listen").await?;
    let private_listener = bind(listen.admin_listen, "--admin-listen").await?;
    let (address, private_address) = (listener.local_addr()?, private_listener.local_addr()?);
    let egress = Egress::through(Proxies::from_environment(|name| std::env::var(name).ok())?);
    egress.deny_own_listener(address);
    egress.deny_own_listener(private_address);
    let (tables, readiness, shutdown) =
        (RouteTableHandle::default(), Readiness::default(), Shutdown::default());
    let limits = Arc::new(Limits::new(listen.limits.settings()));
    let (catalog_endpoint, reencryption) = (CatalogEndpoint::default(), Reencryption::default());
    let (replica, sync_stats) = match &prepared {
        PreparedSource::Folder(_) => (None, None),
        PreparedSource::Cluster(settings) => {
            (Some(settings.replica.name.clone()), Some(SyncStats::default()))
        }
    };
    let private = PrivateListener {
        readiness: readiness.clone(),
        shutdown: shutdown.clone(),
        tables: tables.clone(),
        events: events.clone(),
        limits: Arc::clone(&limits),
        sync_stats: sync_stats.clone(),
        reencryption: reencryption.clone(),
        catalog_endpoint: replica.as_ref().map(|_| catalog_endpoint.clone()),
    };
    let mut private = std::pin::pin!(private.serve(private_listener).fuse());
    let startup = Startup {
        state,
        database: database.clone(),
        address,
        private_address,
        tables,
        shutdown: shutdown.clone(),
        events,
        limits,
        egress,
        encryption,
        reencryption: reencryption.clone(),
    };
    let started_services = tokio::select! {
        services = startup.start(prepared, sync_stats.unwrap_or_default()) => services?,
        ended = private.as_mut() => return ended.context("the private listener failed"),
        ended = beside.as_mut() => return ended.map(|never| match never {}),
        () = signals.shutdown_requested() => return Ok(()),
    };
    let Started { services, mut source, ready: config_served } = started_services;
    readiness.services_started(Arc::clone(&services.context.access_tokens));
    if let Some(replica) = replica {
        catalog_endpoint.enable(services.catalog_endpoint_state(replica));
    }
    let mut tasks = background_tasks(&services, database, reencryption);
    let count = listen.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let workers = Workers::start(count, leave.drain, &services.public())?;
    let announce = async {
        if config_served.await.is_ok() {
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
        _ = source.task() => Err(unexpected_end("follows config changes")),
        Some(task) = tasks.join_next() => Err(unexpected_end(task.unwrap_or("runs in the background"))),
        ended = beside.as_mut() => ended.map(|never| match never {}),
        () = signals.shutdown_requested() => Ok(()),
    };
    shutdown.start_termination();
    let delay = if ended.is_ok() { delay } else { Duration::ZERO };
    tokio::select! {
        done = with_private_listener(drain(workers, listener, &shutdown, delay), private.as_mut()) => done?,
        () = signals.shutdown_requested() => tracing::warn!("second shutdown signal; aborting requests in progress"),
    }
    source.stop().await;
    ended
}

fn prepare(source: ConfigSource, state: &Path) -> anyhow::Result<PreparedSource> {
    Ok(match source {
        ConfigSource::Folder(manifests) => {
            PreparedSource::Folder(Box::new(LoadedManifests::read(&manifests, state)?))
        }
        ConfigSource::Cluster(settings) => PreparedSource::Cluster(settings),
    })
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("failed to listen on {address}: the address may be in use; choose another with {flag}")
    })
}

/// Starts the tasks that run as long as the process does. Each one's output says what it does.
fn background_tasks(
    services: &Services,
    database: DatabaseArgs,
    reencryption: Reencryption,
) -> JoinSet<&'static str> {
    async fn named<T>(name: &'static str, task: impl Future<Output = T>) -> &'static str {
        task.await;
        name
    }
    let context = &services.context;
    let mut tasks = JoinSet::new();
    tasks.spawn(named("follows revocations", Arc::clone(&services.feed_reader).follow()));
    tasks.spawn(named(
        "follows disconnected accounts",
        Arc::clone(&context.broker.connection_changes).watch(),
    ));
    let changes = context.broker.changes();
    tasks.spawn(named("maintains catalogs", context.catalogs.clone().maintain(changes)));
    tasks.spawn(named("follows the database URL", database.follow(context.store.clone())));
    tasks.spawn(named("re-encrypts stored data", services.reencrypt(reencryption)));
    tasks
}

fn unexpected_end(task: &str) -> anyhow::Error {
    anyhow::anyhow!("the task that {task} ended unexpectedly")
}

/// Keeps serving for the delay, then stops accepting connections and drains requests in progress.
async fn drain(
    workers: Workers,
    listener: TcpListener,
    shutdown: &Shutdown,
    delay: Duration,
) -> anyhow::Result<()> {
    if !delay.is_zero() {
        tracing::info!(delay_ms = delay.as_millis(), "no longer ready; still serving for the shutdown delay");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            never = workers.accept(&listener) => match never {},
        }
    }
    shutdown.start_drain();
    workers.accept_backlog(&listener);
    drop(listener);
    tokio::task::spawn_blocking(move || workers.drain()).await.context("the drain failed")
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
