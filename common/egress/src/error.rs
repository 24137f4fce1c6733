//! The error of every outbound request.

use std::error::Error;

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
    CaBundle(String),
    /// The HTTP client could not be created.
    #[error("failed to create an HTTP client: {0}")]
    Client(String),
    /// The connection failed, or there was no complete response in time.
    #[error("{host} did not respond: {problem}")]
    NoResponse {
        /// Host, as the URL names it.
        host: String,
        /// The error with its chain of causes.
        problem: String,
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

impl EgressError {
    /// Converts the error of a request, with its whole chain of causes. Nothing in that chain contains the
    /// URL, because a query may hold secrets.
    pub(crate) fn from_request_error(host: &str, error: &(dyn Error + 'static)) -> Self {
        let mut problem = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            // An `EgressError` from the connector arrives wrapped in hyper's error.
            match inner.downcast_ref::<Self>() {
                Some(Self::Forbidden { host }) => return Self::Forbidden { host: host.clone() },
                Some(Self::PlainHttp { host }) => return Self::PlainHttp { host: host.clone() },
                Some(Self::NoResponse { host, problem }) => {
                    return Self::NoResponse { host: host.clone(), problem: problem.clone() };
                }
                _ => {}
            }
            let text = inner.to_string();
            if !problem.contains(&text) {
                problem.push_str(": ");
                problem.push_str(&text);
            }
            cause = inner.source();
        }
        Self::NoResponse { host: host.to_owned(), problem }
    }
}
