//! Puts the rooms together and runs them until the process is told to end.

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

/// Events that wait for their writer when the process ends get this long.
const EVENT_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long load balancers take to hear that a pod is not ready any more.
const CLUSTER_SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// What to serve, from where.
pub(super) struct ServeSettings {
    pub(super) source: ConfigSource,
    pub(super) state: PathBuf,
    pub(super) database: DatabaseArgs,
    /// How the key rings are kept.
    pub(super) encryption: KeyEncryptionArgs,
    pub(super) listen: ListenArgs,
    pub(super) leave: ShutdownArgs,
}

/// Where the route table comes from.
pub(super) enum ConfigSource {
    /// A folder of manifests.
    Folder(PathBuf),
    /// What a cluster's operator publishes.
    Cluster(cluster::ClusterSettings),
}

/// Serves until SIGTERM or SIGINT. `beside` runs along and ends the process when it ends; `ready` is called with the public
/// address once clients are answered.
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
            tracing::error!(%error, "events can no longer be written: standard output is gone");
        }
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let result = runtime.block_on(serve(settings, started, events.clone(), beside, ready));
    // A drain that was cut short is not waited for.
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
    // What is wrong with a folder is told before anything listens.
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
        format!("cannot listen on {}: is another process using it? choose one with --listen", listen.listen)
    })?;
    let private_listener = TcpListener::bind(listen.admin_listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another process using it? choose one with --admin-listen",
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
    let Started { services: rooms, mut source, ready: arrived } = opened;
    readiness.services_started(rooms.context.identity.clone());
    if let Some(replica) = replica {
        witness.enable(rooms.catalog_endpoint_state(replica));
    }
    let mut feed = tokio::spawn(rooms.context.identity.clone().follow_feed());
    let mut address_of_store = tokio::spawn(database.follow(rooms.context.store.clone()));
    let mut accounts = tokio::spawn(rooms.context.vault.clone().watch_connection_changes());
    let mut resealed = tokio::spawn(rooms.reencrypt(reencryption));
    let count = listen.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let workers = Workers::start(count, leave.drain, &rooms.public())?;
    let announce = async {
        if arrived.await.is_ok() {
            readiness.mark_config_served();
            tracing::info!("ready after {} ms, listening on {address}", started.elapsed().as_millis());
            ready(address);
        }
        std::future::pending::<Infallible>().await
    };
    let ended = tokio::select! {
        never = workers.accept(&listener) => match never {},
        never = announce => match never {},
        ended = private.as_mut() => ended.context("the private listener failed"),
        _ = source.task() => Err(anyhow::anyhow!("changes to what is served are no longer followed")),
        _ = &mut feed => Err(anyhow::anyhow!("revocations are no longer followed")),
        _ = &mut accounts => Err(anyhow::anyhow!("disconnected accounts are no longer followed")),
        _ = &mut address_of_store => Err(anyhow::anyhow!("the database's address is no longer followed")),
        _ = &mut resealed => Err(anyhow::anyhow!("nothing is sealed anew any more")),
        ended = beside.as_mut() => ended.map(|never| match never {}),
        () = signals.shutdown_requested() => Ok(()),
    };
    shutdown.start_termination();
    let goodbye = async {
        if ended.is_ok() && !delay.is_zero() {
            tracing::info!("not ready any more; serving for another {} ms", delay.as_millis());
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
        () = signals.shutdown_requested() => tracing::warn!("asked again; what is under way is cut off"),
    }
    source.stop().await;
    ended
}

/// The operating system's wish that the process ends.
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
        tracing::info!("asked to end");
    }
}
