//! Opens connections to origins: TCP through the egress rules, TLS, and HTTP/1.1 or HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_egress::{AddressPolicy, Destination, Egress, EgressError};
use portcullis_policy::Origin;
use rustls_pki_types::{InvalidDnsNameError, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

/// Timeout of the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a request to an origin. It is in memory, because policy has read it.
pub(crate) type RequestBody = Full<Bytes>;

/// An open connection to an origin.
pub(super) enum OriginConnection {
    /// Serves one request at a time.
    Http1(http1::SendRequest<RequestBody>),
    /// Serves concurrent requests.
    Http2(http2::SendRequest<RequestBody>),
}

/// The connection to the origin failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The address is forbidden, cannot be resolved or does not respond.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The TLS or HTTP handshake failed.
    #[error("handshake with {host} failed: {source}")]
    Handshake {
        /// Host of the origin's URL.
        host: String,
        /// Cause of the failure.
        source: HandshakeError,
    },
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The host is not a valid name for TLS.
    #[error(transparent)]
    ServerName(#[from] InvalidDnsNameError),
    /// The TLS handshake was not complete in time.
    #[error("the TLS handshake timed out")]
    TlsTimeout,
    /// The TLS handshake failed.
    #[error(transparent)]
    Tls(#[from] std::io::Error),
    /// The HTTP handshake failed.
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

impl ConnectError {
    /// Whether the gateway's egress rules forbid the connection.
    pub(crate) const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Egress(EgressError::Forbidden { .. } | EgressError::PlainHttp { .. }))
    }
}

/// Opens a connection to an origin, at an address that its policy allows.
pub(super) async fn connect(egress: &Egress, origin: &Origin) -> Result<OriginConnection, ConnectError> {
    let host = origin.url.host_str().unwrap_or_default();
    let port = origin.url.port_or_known_default().unwrap_or(443);
    let policy = AddressPolicy::allowing(&origin.network.private_networks);
    let to = Destination { host, port, plain: origin.url.scheme() != "https" };
    let stream = egress.connect(to, &policy).await?;
    handshake(origin, host, stream).await
}

async fn handshake(origin: &Origin, host: &str, stream: TcpStream) -> Result<OriginConnection, ConnectError> {
    let failed = |source: HandshakeError| ConnectError::Handshake { host: host.to_owned(), source };
    if origin.url.scheme() != "https" {
        return http1(TokioIo::new(stream)).await.map_err(|error| failed(error.into()));
    }
    let mut config = (*portcullis_egress::tls_config(origin.network.ca_bundle_pem.as_deref())?).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tls_handshake(config, host, stream).await.map_err(failed)
}

async fn tls_handshake(
    config: ClientConfig,
    host: &str,
    stream: TcpStream,
) -> Result<OriginConnection, HandshakeError> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let tls = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting)
        .await
        .map_err(|_| HandshakeError::TlsTimeout)??;
    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Ok(http1(TokioIo::new(tls)).await?);
    }
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
    spawn_connection(connection);
    Ok(OriginConnection::Http2(sender))
}

async fn http1<T>(io: T) -> hyper::Result<OriginConnection>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(io).await?;
    spawn_connection(connection);
    Ok(OriginConnection::Http1(sender))
}

/// Drives a connection until it ends. Requests on it report its errors.
fn spawn_connection(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "origin connection failed");
        }
    });
}
