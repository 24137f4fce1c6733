use http::StatusCode;

use crate::InternalError;
use crate::client::{ClientError, UNKNOWN_CLIENT};
use crate::endpoint::oauth_error::OAuthError;
use portcullis_jwt_verification::JwtError;

/// Why a client has not shown who it is.
#[derive(Debug)]
pub(in crate::endpoint) enum ClientAuthError {
    /// It does not say who it is.
    MissingClientId,
    /// Its credentials do not read, or there are several.
    Malformed(&'static str),
    /// No such client, or not its secret.
    Invalid {
        /// It used the `Authorization` header.
        basic: bool,
        /// Which of the two, for people.
        problem: String,
    },
    /// Its assertion does not count.
    Assertion(JwtError),
    /// What it is to be held against is at its own host, which does not answer.
    Unavailable(String),
    /// The gateway could not find out.
    Gateway(InternalError),
}

impl ClientAuthError {
    pub(super) fn invalid(basic: bool, problem: impl Into<String>) -> Self {
        Self::Invalid { basic, problem: problem.into() }
    }

    pub(super) fn unknown(basic: bool, error: ClientError) -> Self {
        match error {
            ClientError::Gateway(error) => Self::Gateway(error),
            ClientError::DocumentUnavailable(_) => Self::Unavailable(error.to_string()),
            ClientError::Unknown => Self::invalid(basic, UNKNOWN_CLIENT),
            ClientError::Document(_) => Self::invalid(basic, error.to_string()),
        }
    }

    /// For events, where it is more than the code that the client gets.
    pub(in crate::endpoint) const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Assertion(error) => Some(error.reason()),
            Self::Unavailable(_) => Some("client_document_unreachable"),
            _ => None,
        }
    }

    pub(in crate::endpoint) fn into_oauth_error(self) -> OAuthError {
        match self {
            Self::MissingClientId => OAuthError::bad_request("invalid_request", "client_id is missing"),
            Self::Malformed(problem) => OAuthError::bad_request("invalid_request", problem),
            Self::Invalid { basic, problem } => {
                let error = OAuthError::new(StatusCode::UNAUTHORIZED, "invalid_client", problem);
                if basic { error.challenge_basic() } else { error }
            }
            Self::Assertion(error @ JwtError::KeysUnavailable(_)) => {
                OAuthError::temporarily_unavailable(error.to_string())
            }
            Self::Assertion(error) => OAuthError::new(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                format!("the client_assertion does not count: {error}"),
            ),
            Self::Unavailable(problem) => OAuthError::temporarily_unavailable(problem),
            Self::Gateway(error) => {
                tracing::error!(%error, "a client could not be authenticated");
                OAuthError::unavailable()
            }
        }
    }
}
