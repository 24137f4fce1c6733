use std::error::Error;

/// A request was not sent, or brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The host lives where the gateway may not reach.
    #[error(
        "{host} has no address that may be reached from here; if it is meant to be in a private network, the gateway's tenancy has to allow that network (never the API server's, nor the gateway's own)"
    )]
    Forbidden {
        /// Host, as the URL names it.
        host: String,
    },
    /// Plain http leaves the private networks.
    #[error(
        "{host} may not be asked over plain http: use https, or a private network that the gateway's tenancy allows"
    )]
    PlainHttp {
        /// Host, as the URL names it.
        host: String,
    },
    /// Not something that HTTP can be spoken to.
    #[error("the URL cannot be requested: {0}")]
    Url(&'static str),
    /// DNS knows no address.
    #[error("{host} has no address: {source}")]
    Resolve {
        /// Host, as the URL names it.
        host: String,
        /// The resolver's answer.
        source: std::io::Error,
    },
    /// The trust anchors cannot be used.
    #[error("the CA bundle cannot be used: {0}; it has to be PEM with at least one certificate")]
    CaBundle(String),
    /// No client could be made.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
    /// Nobody answers, or not in time.
    #[error("{host} does not answer: {problem}")]
    NoResponse {
        /// Host, as the URL names it.
        host: String,
        /// What happened, down to the cause.
        problem: String,
    },
    /// More came back than is read.
    #[error("{host} answered with more than {limit} bytes")]
    TooLarge {
        /// Host, as the URL names it.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// The answer is not the JSON that it should be.
    #[error("the answer is not the JSON that was expected (line {line}, column {column})")]
    Json {
        /// Where reading ended. What stands there is not repeated: it may be a secret.
        line: usize,
        /// See `line`.
        column: usize,
    },
}

impl EgressError {
    /// What went wrong with a request, with the whole chain of causes. Of what is in that chain nothing repeats the URL: a query
    /// is nobody's business.
    pub(crate) fn from_request_error(host: &str, error: &(dyn Error + 'static)) -> Self {
        let mut problem = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            // The guard's own word, said when connecting, comes back wrapped.
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
