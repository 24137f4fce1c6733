//! Serves the private listener. It has few clients (probes, a metrics server, operators), so its limits are low.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use super::http_connection::serve_connection;
use crate::limits::{ConnectionGuard, ConnectionLimits, ConnectionTable};

/// No connection is ever proven here, so new connections displace the oldest.
const LIMITS: ConnectionLimits =
    ConnectionLimits { total: 512, unproven: 256, per_address: 128, per_principal: 0 };
/// Deadline for the head of a request. A connection may be idle as long. Longer than the usual scrape interval.
const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Deadline for a response, the body of the request included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves connections until the future is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    let table = Arc::new(ConnectionTable::new(LIMITS));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(guard) = table.admit(peer.ip(), false) {
                    tokio::spawn(connection(stream, guard, router.clone()));
                }
            }
            Err(error) => {
                tracing::error!(%error, "failed to accept connection on the private listener");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, guard: ConnectionGuard, router: Router) {
    let service = service_fn(move |request| respond(router.clone(), request));
    tokio::select! {
        biased;
        ended = serve_connection(stream, HEAD_READ_TIMEOUT, service) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection to the private listener failed");
            }
        }
        () = guard.closed() => {}
    }
}

async fn respond(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    match tokio::time::timeout(REQUEST_TIMEOUT, router.oneshot(request.map(Body::new))).await {
        Ok(response) => response,
        Err(_) => {
            let mut late = Response::new(Body::from("The request took too long.\n"));
            *late.status_mut() = StatusCode::REQUEST_TIMEOUT;
            Ok(late)
        }
    }
}
