//! Puts the rooms together and runs them until the process is told to end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use portcullis_custody::KeysEncryption;
use portcullis_events::EventSink;
use portcullis_outbound::{Egress, Proxies};
use portcullis_policy::Tables;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::database::Database;
use super::leave::Leave;
use super::listen::Listen;
use super::open::{Manifests, Opened, Opening, Prepared, private_folder};
use crate::edge::{Private, Readiness, Witness, Workers};
use crate::ending::Ending;
use crate::reseal::Resealing;
use crate::snapshot::cluster::{self, Tally};

/// Events that wait for their writer when the process ends get this long.
const LAST_EVENTS: Duration = Duration::from_secs(2);
/// How long load balancers take to hear that a pod is not ready any more.
const HEARD: Duration = Duration::from_secs(5);

/// What to serve, from where.
pub(super) struct Settings {
    pub(super) source: Source,
    pub(super) state: PathBuf,
    pub(super) database: Database,
    /// How the key rings are kept.
    pub(super) encryption: KeysEncryption,
    pub(super) listen: Listen,
    pub(super) leave: Leave,
}

/// Where the route table comes from.
pub(super) enum Source {
    /// A folder of manifests.
    Folder(PathBuf),
    /// What a cluster's operator publishes.
    Cluster(cluster::Settings),
}

/// Serves until SIGTERM or SIGINT. `beside` runs along and ends the process when it ends; `ready` is called with the public
/// address once clients are answered.
pub(super) fn run(
    settings: Settings,
    beside: impl Future<Output = anyhow::Result<Infallible>>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    private_folder(&settings.state)?;
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
    let until = Instant::now() + LAST_EVENTS;
    while !events.is_idle() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(
    settings: Settings,
    started: Instant,
    events: EventSink,
    beside: impl Future<Output = anyhow::Result<Infallible>>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let Settings { source, state, database, encryption, listen, leave } = settings;
    let mut signals = Signals::new()?;
    let mut beside = std::pin::pin!(beside);
    // What is wrong with a folder is told before anything listens.
    let prepared = match source {
        Source::Folder(manifests) => Prepared::Folder(Box::new(Manifests::read(&manifests, &state)?)),
        Source::Cluster(settings) => Prepared::Cluster(settings),
    };
    let delay = leave.shutdown_delay.unwrap_or(match prepared {
        Prepared::Folder(_) => Duration::ZERO,
        Prepared::Cluster(_) => HEARD,
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
    egress.never_own_listener(address);
    egress.never_own_listener(private_address);
    let (tables, readiness, ending) = (Tables::default(), Readiness::default(), Ending::default());
    let tally = matches!(prepared, Prepared::Cluster(_)).then(Tally::default);
    let (witness, resealing) = (Witness::default(), Resealing::default());
    let replica = match &prepared {
        Prepared::Folder(_) => None,
        Prepared::Cluster(settings) => Some(settings.replica.name.clone()),
    };
    let private = Private {
        readiness: readiness.clone(),
        ending: ending.clone(),
        tables: tables.clone(),
        events: events.clone(),
        tally: tally.clone(),
        resealing: resealing.clone(),
        witness: replica.as_ref().map(|_| witness.clone()),
    };
    let mut private = std::pin::pin!(axum::serve(private_listener, private.router()).into_future());
    let opening = Opening {
        state,
        database: database.clone(),
        address,
        private_address,
        tables,
        ending: ending.clone(),
        events,
        egress,
        encryption,
        resealing: resealing.clone(),
    };
    let opened = tokio::select! {
        opened = opening.open(prepared, tally.unwrap_or_default()) => opened?,
        ended = private.as_mut() => return ended.context("the private listener failed"),
        ended = beside.as_mut() => return ended.map(|never| match never {}),
        () = signals.asked_to_end() => return Ok(()),
    };
    let Opened { rooms, mut source, arrived } = opened;
    readiness.open(rooms.context.identity.clone());
    if let Some(replica) = replica {
        witness.open(rooms.testimony(replica));
    }
    let mut feed = tokio::spawn(rooms.context.identity.clone().follow());
    let mut address_of_store = tokio::spawn(database.follow(rooms.context.store.clone()));
    let mut accounts = tokio::spawn(rooms.context.vault.clone().follow());
    let mut resealed = tokio::spawn(rooms.reseal(resealing));
    let count = listen.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let workers = Workers::start(count, leave.drain, &rooms.public())?;
    let announce = async {
        if arrived.await.is_ok() {
            readiness.arrive();
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
        () = signals.asked_to_end() => Ok(()),
    };
    ending.leave();
    let goodbye = async {
        if ended.is_ok() && !delay.is_zero() {
            tracing::info!("not ready any more; serving for another {} ms", delay.as_millis());
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                never = workers.accept(&listener) => match never {},
                _ = private.as_mut() => {}
            }
        }
        ending.close();
        workers.accept_waiting(&listener);
        drop(listener);
        let drained = tokio::task::spawn_blocking(move || workers.drain());
        tokio::select! {
            drained = drained => drained.context("the drain failed"),
            _ = private.as_mut() => Ok(()),
        }
    };
    tokio::select! {
        done = goodbye => done?,
        () = signals.asked_to_end() => tracing::warn!("asked again; what is under way is cut off"),
    }
    source.end().await;
    ended
}

/// The operating system's wish that the process ends.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("asked to end");
    }
}
