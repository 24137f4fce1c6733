//! Worker threads. Each has a single-threaded runtime and its own connections to clients and origins, so a
//! call never waits for another thread. One acceptor distributes new connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use portcullis_config::{any_network_contains, canonical_ip};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::http_connection::{HEAD_READ_TIMEOUT, serve_connection};
use super::public_listener::PublicListener;
use crate::limits::ConnectionGuard;
use crate::pipeline::Context;

/// Delay before idle connections close at shutdown, so requests in flight still arrive.
const CLOSE_DELAY: Duration = Duration::from_millis(100);

/// The worker threads.
pub(crate) struct Workers {
    threads: Vec<Worker>,
    context: Arc<Context>,
    stop: watch::Sender<bool>,
}

/// An accepted connection, and its place among the limited number of connections.
type Accepted = (std::net::TcpStream, ConnectionGuard);

struct Worker {
    /// Unbounded, because the number of connections is.
    connections: mpsc::UnboundedSender<Accepted>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts `count` threads, each with its own upstream connections. During a drain, open connections get
    /// `drain_timeout` to finish.
    pub(crate) fn start(
        count: usize,
        drain_timeout: Duration,
        public: &PublicListener,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let threads = (0..count.max(1))
            .map(|number| {
                let public = PublicListener {
                    upstreams: Arc::new(public.upstreams.new_for_worker()),
                    ..public.clone()
                };
                Worker::start(number, drain_timeout, public, stopped.clone())
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { threads, context: Arc::clone(&public.context), stop })
    }

    /// Accepts connections until the future is dropped.
    pub(crate) async fn accept(&self, listener: &TcpListener) -> Infallible {
        let mut turn = self.threads.iter().cycle();
        loop {
            match listener.accept().await.and_then(|accepted| self.admit(accepted)) {
                Ok(Some(accepted)) => {
                    if let Some(worker) = turn.next() {
                        worker.assign(accepted);
                    }
                }
                // Closed, because there are too many.
                Ok(None) => {}
                Err(error) => {
                    // Usually too many open files: retry after other connections have closed.
                    tracing::error!(%error, "failed to accept connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Accepts the connections in the listener's backlog, so closing the listener does not reset them.
    pub(crate) fn accept_backlog(&self, listener: &TcpListener) {
        for worker in self.threads.iter().cycle() {
            match listener.accept().now_or_never() {
                Some(Ok(accepted)) => {
                    if let Ok(Some(accepted)) = self.admit(accepted) {
                        worker.assign(accepted);
                    }
                }
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Gives a connection a place, or closes it if there are too many. Proxies that are trusted to name their
    /// clients have no limit per address.
    fn admit(&self, (stream, peer): (TcpStream, SocketAddr)) -> io::Result<Option<Accepted>> {
        let peer = canonical_ip(peer.ip());
        let table = self.context.tables.current();
        let trusted = table.is_some_and(|table| any_network_contains(&table.gateway.trusted_proxies, peer));
        let Some(guard) = self.context.limits.connections.admit(peer, trusted) else { return Ok(None) };
        Ok(Some((stream.into_std()?, guard)))
    }

    /// Drains the connections and stops the threads. Blocks until both are done.
    pub(crate) fn drain(self) {
        self.stop.send(true).ok();
        for Worker { connections, thread } in self.threads {
            drop(connections);
            if thread.join().is_err() {
                tracing::error!("worker thread panicked");
            }
        }
    }
}

impl Worker {
    fn assign(&self, accepted: Accepted) {
        self.connections.send(accepted).ok();
    }

    fn start(
        number: usize,
        drain_timeout: Duration,
        public: PublicListener,
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let (connections, incoming) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to start the runtime of a worker")?;
        let thread = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                runtime.block_on(serve(incoming, drain_timeout, public, stopped));
                // Aborts the connections that are left after the drain.
                runtime.shutdown_background();
            })
            .context("failed to start a worker thread")?;
        Ok(Self { connections, thread })
    }
}

async fn serve(
    mut incoming: mpsc::UnboundedReceiver<Accepted>,
    drain_timeout: Duration,
    public: PublicListener,
    stopped: watch::Receiver<bool>,
) {
    let connections = TaskTracker::new();
    while let Some((stream, guard)) = incoming.recv().await {
        match into_tokio_stream(stream) {
            Ok(stream) => {
                connections.spawn(connection(stream, Arc::new(guard), public.clone(), stopped.clone()));
            }
            Err(error) => tracing::warn!(%error, "failed to set up connection"),
        }
    }
    connections.close();
    if tokio::time::timeout(drain_timeout, connections.wait()).await.is_err() {
        tracing::warn!(
            open_connections = connections.len(),
            "closing connections that did not finish before the drain timeout"
        );
    }
}

fn into_tokio_stream(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

async fn connection(
    stream: TcpStream,
    guard: Arc<ConnectionGuard>,
    public: PublicListener,
    mut stopped: watch::Receiver<bool>,
) {
    // A closed connection has no peer address and nothing to serve.
    let Ok(peer) = stream.peer_addr() else { return };
    let of_request = Arc::clone(&guard);
    let service = service_fn(move |request: http::Request<Incoming>| {
        // Boxed, so that an idle connection does not reserve the memory of a request.
        Box::pin(public.clone().serve(request, peer.ip(), Arc::clone(&of_request)))
    });
    let connection = serve_connection(stream, HEAD_READ_TIMEOUT, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        // Serve received requests first: a connection on which nothing was read yet would be closed unread.
        biased;
        ended = connection.as_mut() => ended,
        () = guard.closed() => return,
        () = stop_requested(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "client connection failed");
    }
}

/// Ready [`CLOSE_DELAY`] after the stop signal, or after its sender is dropped.
async fn stop_requested(stopped: &mut watch::Receiver<bool>) {
    stopped.wait_for(|stopped| *stopped).await.ok();
    tokio::time::sleep(CLOSE_DELAY).await;
}
