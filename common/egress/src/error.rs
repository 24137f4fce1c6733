//! The errors of outbound requests.
//!
//! A message contains the messages of its sources, except where those could hold a secret.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// An outbound request failed, or its response is unusable.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// None of the host's addresses is permitted by the address policy.
    #[error(
        "{host} has no permitted address; if it is in a private network, allow that network in the gateway's tenancy (the API server and the gateway's own listeners are always denied)"
    )]
    Forbidden {
        /// Host, as the URL names it.
        host: String,
    },
    /// Plain http is permitted only in allowed private networks.
    #[error(
        "plain http to {host} is not permitted; use https, or allow its private network in the gateway's tenancy"
    )]
    PlainHttp {
        /// Host, as the URL names it.
        host: String,
    },
    /// The URL is not an http or https URL with a host.
    #[error("the URL is invalid: {0}")]
    Url(&'static str),
    /// DNS resolution failed.
    #[error("failed to resolve {host}: {source}")]
    Resolve {
        /// Host, as the URL names it.
        host: String,
        /// The resolver's error.
        source: std::io::Error,
    },
    /// The CA bundle is invalid.
    #[error("the CA bundle is invalid: {0}; it must be PEM with at least one certificate")]
    CaBundle(#[from] CaBundleError),
    /// The HTTP client could not be created.
    #[error("failed to create an HTTP client: {0}")]
    Client(#[from] HttpClientError),
    /// The connection failed, or there was no complete response in time.
    #[error("{host} did not respond: {source}")]
    NoResponse {
        /// Host, as the URL names it.
        host: String,
        /// What failed. Shared, because an HTTP client returns a connector's error only by reference.
        source: Arc<RequestFailure>,
    },
    /// The response body exceeds the limit.
    #[error("the response of {host} is larger than {limit} bytes")]
    TooLarge {
        /// Host, as the URL names it.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The response is not JSON of the expected shape.
    #[error("the response is not the expected JSON (line {line}, column {column})")]
    Json {
        /// Line of the error. The message omits the text there: it may be a secret.
        line: usize,
        /// Column of the error.
        column: usize,
    },
}

/// Why a CA bundle is invalid.
#[derive(Debug, thiserror::Error)]
pub enum CaBundleError {
    /// It is not PEM.
    #[error(transparent)]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// It has no certificate.
    #[error("it contains no certificate")]
    Empty,
    /// A certificate cannot be a trust anchor.
    #[error(transparent)]
    Certificate(rustls::Error),
}

/// Why an HTTP client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The TLS library rejects the configuration.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The HTTP library rejects the configuration.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// Why a host did not respond.
#[derive(Debug, thiserror::Error)]
pub enum RequestFailure {
    /// The TCP connection failed.
    #[error(transparent)]
    Connect(#[from] std::io::Error),
    /// The TCP connection was not established in time.
    #[error("no connection within {} s", .0.as_secs())]
    ConnectTimeout(Duration),
    /// The address is not a valid target of a proxy.
    #[error(transparent)]
    ProxyTarget(#[from] http::uri::InvalidUri),
    /// The egress proxy did not connect to the address.
    #[error(
        "the egress proxy {proxy} failed to connect to {address}: {source}; it must allow CONNECT to that address and port"
    )]
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// The address.
        address: SocketAddr,
        /// Error of the connection through the proxy.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The response was not complete in time.
    #[error("no complete response within {} ms", .0.as_millis())]
    ResponseTimeout(Duration),
    /// The HTTP exchange failed.
    #[error("{}", error_chain(&**.0))]
    Http(#[source] Box<dyn Error + Send + Sync>),
}

impl EgressError {
    /// Converts the error of a request. Nothing in its chain may contain the URL, because a query may hold
    /// secrets.
    pub(crate) fn from_request_error(host: &str, error: impl Error + Send + Sync + 'static) -> Self {
        let mut cause = error.source();
        while let Some(inner) = cause {
            // An `EgressError` from the connector arrives wrapped in hyper's error.
            match inner.downcast_ref::<Self>() {
                Some(Self::Forbidden { host }) => return Self::Forbidden { host: host.clone() },
                Some(Self::PlainHttp { host }) => return Self::PlainHttp { host: host.clone() },
                Some(Self::NoResponse { host, source }) => {
                    return Self::NoResponse { host: host.clone(), source: Arc::clone(source) };
                }
                _ => cause = inner.source(),
            }
        }
        Self::no_response(host, RequestFailure::Http(Box::new(error)))
    }

    pub(crate) fn no_response(host: &str, source: RequestFailure) -> Self {
        Self::NoResponse { host: host.to_owned(), source: Arc::new(source) }
    }
}

/// Message of an error with its sources, separated by colons. Sources whose message is already included are
/// not repeated.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to connect")]
    struct Outer(#[source] EgressError);

    fn refused() -> EgressError {
        EgressError::no_response("a.example", io::Error::other("connection refused").into())
    }

    #[test]
    fn given_messages_with_and_without_their_sources_then_the_chain_has_each_once() {
        assert_eq!(
            error_chain(&Outer(refused())),
            "failed to connect: a.example did not respond: connection refused"
        );
    }

    #[test]
    fn given_a_connectors_error_in_a_clients_error_then_it_is_returned_with_its_source() {
        let error = EgressError::from_request_error("b.example", Outer(refused()));
        assert_eq!(error.to_string(), refused().to_string());
        let source = error.source().and_then(|source| source.downcast_ref::<Arc<RequestFailure>>());
        assert!(source.is_some_and(|source| matches!(**source, RequestFailure::Connect(_))), "{error:?}");
    }
}
