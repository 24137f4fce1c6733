//! HTTP settings that both listeners share.

use std::error::Error;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::limits::WriteTimeout;

/// Deadline for the head of a request. A connection may be idle as long.
pub(super) const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum size of the head of a request, and of what is read and written at once.
const BUFFER_BYTES: usize = 32 * 1024;

/// Serves HTTP on a connection, with deadlines for reading a head and for writing.
pub(super) fn serve_connection<S, B>(
    stream: TcpStream,
    head_timeout: Duration,
    service: S,
) -> http1::Connection<TokioIo<WriteTimeout<TcpStream>>, S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Box<dyn Error + Send + Sync>>>,
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(WriteTimeout::new(stream)), service)
}
