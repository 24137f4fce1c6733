//! Connection pool of one worker thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use parking_lot::Mutex;
use portcullis_egress::Egress;
use portcullis_policy::Origin;

use super::connect::{ConnectError, OriginConnection, RequestBody, connect};

/// Maximum idle time of a reusable connection: many servers close idle connections after a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Maximum number of idle connections per origin.
const MAX_IDLE_PER_ORIGIN: usize = 256;

/// Connections to origins, for one worker thread.
pub(crate) struct UpstreamPool {
    egress: Egress,
    origins: Mutex<HashMap<Arc<str>, OriginPool>>,
}

/// Pooled connections of one origin.
struct OriginPool {
    origin: Arc<Origin>,
    target: Uri,
    host: HeaderValue,
    idle: Vec<(OriginConnection, Instant)>,
}

/// A request to an origin failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The connection failed, so the request was not sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection was closed. The origin may have received the request, so it is not retried.
    #[error("the connection to the origin was closed: {0}")]
    Disconnected(#[source] hyper::Error),
    /// The origin's URL is invalid.
    #[error("the URL of the origin is invalid: {0}")]
    InvalidUrl(#[from] OriginUrlError),
}

/// Why an origin's URL is not a request target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginUrlError {
    #[error(transparent)]
    Syntax(#[from] http::uri::InvalidUri),
    #[error("it has no host")]
    NoHost,
    #[error(transparent)]
    Host(#[from] http::header::InvalidHeaderValue),
    /// The parser's error is omitted, because it could quote the query, which may contain a credential.
    #[error("its query is invalid")]
    Query,
}

/// A response, with the lease of its connection. The connection is reusable after the body has been read.
pub(crate) struct OriginResponse {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: ConnectionLease,
}

/// Returns its connection to the pool: call [`ConnectionLease::release`] after the last byte of the response.
/// A dropped lease closes the connection, which informs the origin that the client disconnected.
pub(crate) struct ConnectionLease {
    upstreams: Arc<UpstreamPool>,
    uid: Arc<str>,
    sender: Option<OriginConnection>,
}

impl UpstreamPool {
    /// Creates an empty pool whose connections go through `egress`.
    pub(crate) fn new(egress: Egress) -> Self {
        Self { egress, origins: Mutex::default() }
    }

    /// Creates an empty pool with the same egress for another worker.
    pub(crate) fn new_for_worker(&self) -> Self {
        Self::new(self.egress.clone())
    }

    /// Sends a request to an origin's endpoint. Method, headers and body come from the caller, URI and `Host`
    /// from the origin. If the request's URI has a query, its path and query are used: they may contain a
    /// credential.
    pub(crate) async fn send(
        self: &Arc<Self>,
        origin: &Arc<Origin>,
        mut request: Request<RequestBody>,
    ) -> Result<OriginResponse, SendError> {
        let (mut target, host) = self.resolve_target(origin)?;
        if request.uri().query().is_some() {
            target = replace_path_and_query(target, request.uri())?;
        }
        request.headers_mut().insert(http::header::HOST, host);
        let path: Uri = target.path_and_query().map(|path| Uri::from(path.clone())).unwrap_or_default();
        while let Some(sender) = self.take_idle(&origin.uid) {
            match self.try_send(sender, &origin.uid, request, &target, &path).await {
                Ok(answer) => return Ok(answer),
                // The origin closed the connection before it accepted the request. Try another connection.
                Err((_, Some(unsent))) => request = unsent,
                Err((error, None)) => return Err(SendError::Disconnected(error)),
            }
        }
        let sender = Box::pin(connect(&self.egress, origin)).await?;
        self.try_send(sender, &origin.uid, request, &target, &path)
            .await
            .map_err(|(error, _)| SendError::Disconnected(error))
    }

    async fn try_send(
        self: &Arc<Self>,
        sender: OriginConnection,
        uid: &Arc<str>,
        mut request: Request<RequestBody>,
        target: &Uri,
        path: &Uri,
    ) -> Result<OriginResponse, (hyper::Error, Option<Request<RequestBody>>)> {
        let (response, sender) = match sender {
            OriginConnection::Http1(mut sender) => {
                if let Err(error) = sender.ready().await {
                    return Err((error, Some(request)));
                }
                *request.uri_mut() = path.clone();
                let response = sender.try_send_request(request).await;
                (response, OriginConnection::Http1(sender))
            }
            OriginConnection::Http2(mut sender) => {
                if let Err(error) = sender.ready().await {
                    return Err((error, Some(request)));
                }
                // HTTP/2 sends the authority in the URI (RFC 9113, section 8.3.1).
                *request.uri_mut() = target.clone();
                request.headers_mut().remove(http::header::HOST);
                // Return the connection at once: other requests can use it concurrently.
                self.put_idle(uid, OriginConnection::Http2(sender.clone()));
                (sender.try_send_request(request).await, OriginConnection::Http2(sender))
            }
        };
        match response {
            Ok(response) => {
                let sender = matches!(sender, OriginConnection::Http1(_)).then_some(sender);
                Ok(OriginResponse {
                    response,
                    lease: ConnectionLease { upstreams: Arc::clone(self), uid: Arc::clone(uid), sender },
                })
            }
            Err(mut error) => {
                let unsent = error.take_message();
                Err((error.into_error(), unsent))
            }
        }
    }

    fn resolve_target(&self, origin: &Arc<Origin>) -> Result<(Uri, HeaderValue), SendError> {
        let mut origins = self.origins.lock();
        if let Some(pool) = origins.get_mut(&origin.uid) {
            if Arc::ptr_eq(&pool.origin, origin) {
                return Ok((pool.target.clone(), pool.host.clone()));
            }
            // The route table changed. Connections stay valid while the URL and the network rules are the
            // same.
            if pool.origin.url == origin.url && pool.origin.network == origin.network {
                pool.origin = Arc::clone(origin);
                return Ok((pool.target.clone(), pool.host.clone()));
            }
        }
        let (target, host) = request_target(origin)?;
        let pool = OriginPool {
            origin: Arc::clone(origin),
            target: target.clone(),
            host: host.clone(),
            idle: Vec::new(),
        };
        origins.insert(Arc::clone(&origin.uid), pool);
        Ok((target, host))
    }

    /// Takes the most recently used connection, so unused ones can expire.
    fn take_idle(&self, uid: &str) -> Option<OriginConnection> {
        let mut origins = self.origins.lock();
        let idle = &mut origins.get_mut(uid)?.idle;
        while let Some((sender, since)) = idle.pop() {
            if since.elapsed() > IDLE_TIMEOUT {
                idle.clear();
                return None;
            }
            let open = match &sender {
                OriginConnection::Http1(sender) => !sender.is_closed(),
                OriginConnection::Http2(sender) => !sender.is_closed(),
            };
            if open {
                return Some(sender);
            }
        }
        None
    }

    fn put_idle(&self, uid: &str, sender: OriginConnection) {
        if let Some(pool) = self.origins.lock().get_mut(uid)
            && pool.idle.len() < MAX_IDLE_PER_ORIGIN
        {
            pool.idle.push((sender, Instant::now()));
        }
    }
}

/// Returns `target` with the path and query of `path`.
fn replace_path_and_query(target: Uri, path: &Uri) -> Result<Uri, SendError> {
    let mut parts = target.into_parts();
    parts.path_and_query = path.path_and_query().cloned();
    Ok(Uri::from_parts(parts).map_err(|_| OriginUrlError::Query)?)
}

/// The origin's URL and the `Host` header of its requests.
fn request_target(origin: &Origin) -> Result<(Uri, HeaderValue), OriginUrlError> {
    let target: Uri = origin.url.as_str().parse()?;
    let authority = target.authority().ok_or(OriginUrlError::NoHost)?.as_str();
    let host = HeaderValue::from_str(authority)?;
    Ok((target, host))
}

impl ConnectionLease {
    /// Returns the connection after the response has been read completely.
    pub(crate) fn release(mut self) {
        if let Some(sender) = self.sender.take() {
            self.upstreams.put_idle(&self.uid, sender);
        }
    }
}
