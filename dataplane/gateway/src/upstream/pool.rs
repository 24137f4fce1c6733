use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use parking_lot::Mutex;
use portcullis_egress::Egress;
use portcullis_policy::Origin;

use super::connect::{ConnectError, OriginConnection, RequestBody, connect};

/// A connection that has waited longer than this is not used again: many servers close after a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// More than this are not kept for one origin.
const MAX_IDLE_PER_ORIGIN: usize = 256;

/// Connections to origins, for one worker thread.
pub(crate) struct UpstreamPool {
    egress: Egress,
    origins: Mutex<HashMap<Arc<str>, OriginPool>>,
}

/// What is kept for one origin.
struct OriginPool {
    origin: Arc<Origin>,
    target: Uri,
    host: HeaderValue,
    idle: Vec<(OriginConnection, Instant)>,
}

/// The origin did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No connection: the request was certainly not received.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request may or may not have been received, so it is not sent again.
    #[error("the origin broke off the connection: {0}")]
    Disconnected(hyper::Error),
    /// The origin's URL makes no request.
    #[error("the origin's URL cannot be requested: {0}")]
    InvalidUrl(String),
}

/// An answer and the way back to the pool, which is open once its body has been read.
pub(crate) struct OriginResponse {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: ConnectionLease,
}

/// Puts its connection back on the shelf: [`ConnectionLease::release`], after the answer's last byte. Dropped otherwise, it closes it, which is how an
/// origin learns that the client went away.
pub(crate) struct ConnectionLease {
    upstreams: Arc<UpstreamPool>,
    uid: Arc<str>,
    sender: Option<OriginConnection>,
}

impl UpstreamPool {
    /// None yet; all will leave by this way out.
    pub(crate) fn new(egress: Egress) -> Self {
        Self { egress, origins: Mutex::default() }
    }

    /// The same for another worker, with connections of its own.
    pub(crate) fn new_for_worker(&self) -> Self {
        Self::new(self.egress.clone())
    }

    /// Sends a request to an origin's endpoint; method, headers and body are the caller's, URI and `Host` the origin's. Where the
    /// request's own URI has a query, path and query are the caller's too: a credential may be among them.
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
                // The origin had closed it before it took the request; another one may still be good.
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
                // HTTP/2 says the authority in the URI (RFC 9113, section 8.3.1).
                *request.uri_mut() = target.clone();
                request.headers_mut().remove(http::header::HOST);
                // Back on the shelf at once: others can use it at the same time.
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
        if let Some(shelf) = origins.get_mut(&origin.uid) {
            if Arc::ptr_eq(&shelf.origin, origin) {
                return Ok((shelf.target.clone(), shelf.host.clone()));
            }
            // Another table. Connections stay good only while they lead to the same place by the same rules.
            if shelf.origin.url == origin.url && shelf.origin.network == origin.network {
                shelf.origin = Arc::clone(origin);
                return Ok((shelf.target.clone(), shelf.host.clone()));
            }
        }
        let url = |problem: String| SendError::InvalidUrl(problem);
        let target: Uri = origin.url.as_str().parse().map_err(|error| url(format!("{error}")))?;
        let authority = target.authority().ok_or_else(|| url("it has no host".to_owned()))?.as_str();
        let host = HeaderValue::from_str(authority).map_err(|error| url(error.to_string()))?;
        let shelf = OriginPool {
            origin: Arc::clone(origin),
            target: target.clone(),
            host: host.clone(),
            idle: Vec::new(),
        };
        origins.insert(Arc::clone(&origin.uid), shelf);
        Ok((target, host))
    }

    /// The connection that was used last: the others may age and go.
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
        if let Some(shelf) = self.origins.lock().get_mut(uid)
            && shelf.idle.len() < MAX_IDLE_PER_ORIGIN
        {
            shelf.idle.push((sender, Instant::now()));
        }
    }
}

/// What `path` asks for, at the place of `target`.
fn replace_path_and_query(target: Uri, path: &Uri) -> Result<Uri, SendError> {
    let mut parts = target.into_parts();
    parts.path_and_query = path.path_and_query().cloned();
    // Not with the error's own words: they could quote it.
    Uri::from_parts(parts).map_err(|_| SendError::InvalidUrl("its query cannot be sent".to_owned()))
}

impl ConnectionLease {
    /// The answer has been read to its end.
    pub(crate) fn release(mut self) {
        if let Some(sender) = self.sender.take() {
            self.upstreams.put_idle(&self.uid, sender);
        }
    }
}
