//! Errors of the token endpoint.

use std::sync::Arc;

use http::StatusCode;
use portcullis_identity_providers::BindingError;
use portcullis_jwt_verification::{JwtError, ReplayError};
use portcullis_store::StoreError;

use super::client_authentication::ClientAuthError;
use super::form::FormError;
use super::oauth_error::OAuthError;
use crate::{InternalError, TargetError, TokenReviewError};

pub(super) const ROUTE_GONE: TokenEndpointError = TokenEndpointError::Grant {
    reason: "route_gone",
    description: "the virtual MCP of this grant is no longer served; authorize again",
};

/// A token request was rejected or failed.
#[derive(Debug)]
pub(super) enum TokenEndpointError {
    NotReady,
    Form(FormError),
    Missing(&'static str),
    GrantType,
    Client(ClientAuthError),
    /// The code or refresh token is invalid for this client and issuer. `reason` is the reason in events.
    Grant {
        reason: &'static str,
        description: &'static str,
    },
    /// The client may not use this grant.
    UnauthorizedClient(&'static str),
    /// The grant type is not enabled here.
    GrantDisabled(&'static str),
    /// The assertion of a headless grant is invalid.
    Assertion(JwtError),
    /// No team gives this subject access to the route.
    NoAccess(String),
    /// Too many reviews of service account tokens.
    RateLimited,
    /// Too many failed requests from this address, or in total.
    TooManyFailures,
    /// Too many tokens for this grant or principal.
    TooManyTokens,
    /// The cluster failed to review a service account token.
    Review(TokenReviewError),
    /// `resource` differs from the granted resource (RFC 8707, section 2.2).
    TargetMismatch(Arc<str>),
    /// `resource` names no route of this authorization server.
    InvalidTarget(TargetError),
    Gateway(InternalError),
}

impl From<InternalError> for TokenEndpointError {
    fn from(error: InternalError) -> Self {
        Self::Gateway(error)
    }
}

impl From<StoreError> for TokenEndpointError {
    fn from(error: StoreError) -> Self {
        Self::Gateway(error.into())
    }
}

impl From<BindingError> for TokenEndpointError {
    fn from(error: BindingError) -> Self {
        match error {
            BindingError::IssuerChanged => Self::invalid_grant(
                "issuer_changed",
                "the name of this identity provider belongs to another issuer or subject claim; ask an administrator to check \
                 previousIssuers of the McpGateway",
            ),
            BindingError::Store(error) => error.into(),
        }
    }
}

impl From<JwtError> for TokenEndpointError {
    fn from(error: JwtError) -> Self {
        Self::Assertion(error)
    }
}

impl From<ClientAuthError> for TokenEndpointError {
    fn from(error: ClientAuthError) -> Self {
        Self::Client(error)
    }
}

impl From<ReplayError> for TokenEndpointError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Assertion(error) => Self::Assertion(error),
            ReplayError::Store(error) => error.into(),
        }
    }
}

impl TokenEndpointError {
    /// An invalid code or refresh token.
    pub(super) const fn invalid_grant(reason: &'static str, description: &'static str) -> Self {
        Self::Grant { reason, description }
    }

    /// Whether the request counts against the limit of failures: its sender is responsible for the failure.
    pub(super) const fn counts_as_failure(&self) -> bool {
        !matches!(
            self,
            Self::NotReady
                | Self::TooManyFailures
                | Self::Review(_)
                | Self::Client(ClientAuthError::Gateway(_))
                | Self::Gateway(_)
        )
    }

    /// Reason in events.
    pub(super) const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Grant { reason, .. } => Some(reason),
            Self::Client(error) => error.reason(),
            Self::Assertion(error) => Some(error.reason()),
            Self::NoAccess(_) => Some("no_access"),
            Self::RateLimited => Some("too_many_reviews"),
            Self::TooManyFailures => Some("too_many_failures"),
            Self::TooManyTokens => Some("too_many_tokens"),
            Self::Review(_) => Some("review_unavailable"),
            _ => None,
        }
    }

    pub(super) fn into_oauth_error(self) -> OAuthError {
        match self {
            Self::NotReady => OAuthError::not_ready(),
            Self::Form(error) => OAuthError::bad_request("invalid_request", error.to_string()),
            Self::Missing(name) => OAuthError::bad_request("invalid_request", format!("{name} is missing")),
            Self::GrantType => OAuthError::bad_request(
                "unsupported_grant_type",
                "grant_type is not supported; use one of grant_types_supported in the metadata",
            ),
            Self::GrantDisabled(why) => OAuthError::bad_request("unsupported_grant_type", why),
            Self::UnauthorizedClient(why) => OAuthError::bad_request("unauthorized_client", why),
            Self::Assertion(error @ JwtError::KeysUnavailable(_)) => {
                OAuthError::temporarily_unavailable(error.to_string())
            }
            Self::Assertion(error) => {
                OAuthError::bad_request("invalid_grant", format!("the assertion is invalid: {error}"))
            }
            // The same code as at the token endpoint of RFC 8628, section 3.5.
            Self::NoAccess(subject) => OAuthError::bad_request(
                "access_denied",
                format!(
                    "no team gives {subject} access to this virtual MCP; an administrator must add it to a Team"
                ),
            ),
            Self::RateLimited => OAuthError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "too many reviews of service account tokens; try again shortly",
            )
            .retry_after("1"),
            Self::TooManyFailures => OAuthError::too_many_failures(),
            Self::TooManyTokens => OAuthError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "too many tokens were requested for this grant; use each until it expires, and try again in 10 seconds",
            )
            .retry_after("10"),
            Self::Review(error) => {
                tracing::error!(%error, "failed to review a service account token");
                OAuthError::unavailable()
            }
            Self::InvalidTarget(error) => OAuthError::bad_request("invalid_target", error.to_string()),
            Self::Client(error) => error.into_oauth_error(),
            Self::Grant { description, .. } => OAuthError::bad_request("invalid_grant", description),
            Self::TargetMismatch(granted) => OAuthError::bad_request(
                "invalid_target",
                format!("resource differs from the granted one; it must be {granted} or be omitted"),
            ),
            Self::Gateway(error) => {
                tracing::error!(%error, "failed to issue a token");
                OAuthError::unavailable()
            }
        }
    }
}
