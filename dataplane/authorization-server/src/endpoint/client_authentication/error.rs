//! Errors of client authentication.

use http::StatusCode;

use crate::InternalError;
use crate::client::{ClientError, UNKNOWN_CLIENT};
use crate::endpoint::oauth_error::OAuthError;
use portcullis_jwt_verification::{JwtError, ReplayError};

/// Client authentication failed.
#[derive(Debug)]
pub(in crate::endpoint) enum ClientAuthError {
    /// The request has no client id.
    MissingClientId,
    /// The credentials are malformed, or there are several.
    Malformed(&'static str),
    /// The client is unknown, or its credential is wrong.
    Invalid {
        /// Whether the request used the `Authorization` header.
        basic: bool,
        /// Description of the problem.
        problem: &'static str,
    },
    /// The client assertion is invalid.
    Assertion(JwtError),
    /// The client's metadata document is invalid.
    Document { basic: bool, error: ClientError },
    /// The client's metadata document cannot be fetched.
    DocumentUnavailable(ClientError),
    /// The gateway failed.
    Gateway(InternalError),
}

impl From<ReplayError> for ClientAuthError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Assertion(error) => Self::Assertion(error),
            ReplayError::Store(error) => Self::Gateway(error.into()),
        }
    }
}

impl ClientAuthError {
    pub(super) const fn invalid(basic: bool, problem: &'static str) -> Self {
        Self::Invalid { basic, problem }
    }

    pub(super) fn unknown(basic: bool, error: ClientError) -> Self {
        match error {
            ClientError::Gateway(error) => Self::Gateway(error),
            ClientError::DocumentUnavailable(_) => Self::DocumentUnavailable(error),
            ClientError::Unknown => Self::invalid(basic, UNKNOWN_CLIENT),
            ClientError::Document(_) => Self::Document { basic, error },
        }
    }

    /// Reason in events, if more specific than the OAuth error code.
    pub(in crate::endpoint) const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Assertion(error) => Some(error.reason()),
            Self::DocumentUnavailable(_) => Some("client_document_unreachable"),
            _ => None,
        }
    }

    pub(in crate::endpoint) fn into_oauth_error(self) -> OAuthError {
        match self {
            Self::MissingClientId => OAuthError::bad_request("invalid_request", "client_id is missing"),
            Self::Malformed(problem) => OAuthError::bad_request("invalid_request", problem),
            Self::Invalid { basic, problem } => invalid_client(basic, problem),
            Self::Document { basic, error } => invalid_client(basic, error.to_string()),
            Self::Assertion(error @ JwtError::KeysUnavailable(_)) => {
                OAuthError::temporarily_unavailable(error.to_string())
            }
            Self::Assertion(error) => OAuthError::new(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                format!("the client_assertion is invalid: {error}"),
            ),
            Self::DocumentUnavailable(error) => OAuthError::temporarily_unavailable(error.to_string()),
            Self::Gateway(error) => {
                tracing::error!(%error, "failed to authenticate a client");
                OAuthError::unavailable()
            }
        }
    }
}

fn invalid_client(basic: bool, problem: impl Into<String>) -> OAuthError {
    let error = OAuthError::new(StatusCode::UNAUTHORIZED, "invalid_client", problem);
    if basic { error.challenge_basic() } else { error }
}
