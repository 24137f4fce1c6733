//! The error of requests to identity providers.

use std::borrow::Cow;

use portcullis_clock::NoRandomness;
use portcullis_egress::EgressError;
use portcullis_jwt_verification::JwtError;
use portcullis_store::StoreError;

use crate::token_endpoint::TokenRequestError;

/// A description of a failure, with the error that caused it.
#[derive(Debug, thiserror::Error)]
#[error("{description}")]
pub struct Problem {
    description: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    pub(crate) fn new(description: impl Into<Cow<'static, str>>) -> Self {
        Self { description: description.into(), source: None }
    }

    /// Keeps the error that caused the failure. The description must quote what users need of it.
    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// A failure that is described by its context and its cause.
    pub(crate) fn caused_by(context: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(format!("{context}: {source}")).with_source(source)
    }

    /// A failure that is described by its cause alone.
    pub(crate) fn of(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(source.to_string()).with_source(source)
    }
}

/// A sign-in or another request to an identity provider failed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider did not respond, or reported that it is temporarily unavailable.
    #[error("the identity provider is unavailable: {0}")]
    Unavailable(#[source] Problem),
    /// The provider's response is invalid, or the gateway's settings do not match the provider.
    #[error(transparent)]
    InvalidResponse(Problem),
    /// The response names another issuer (RFC 9207).
    #[error("the response is from another issuer than the configured identity provider; sign in again")]
    OtherIssuer,
    /// The provider's name is bound to another issuer or subject claim.
    #[error(
        "the name of this identity provider belongs to another issuer or subject claim; ask an administrator to check the \
         issuer, claims.subject and previousIssuers of the McpGateway"
    )]
    IssuerChanged,
    /// The provider returned an error response (RFC 6749, section 4.1.2.1).
    #[error("{}", description.as_ref().map_or_else(|| code.clone(), |text| format!("{text} ({code})")))]
    Refused {
        /// `error` of the response.
        code: String,
        /// `error_description` of the response.
        description: Option<String>,
    },
    /// The gateway's store, keys or random source failed.
    #[error(transparent)]
    Gateway(Problem),
}

impl ProviderError {
    /// A response that violates the protocol.
    pub(crate) fn invalid(description: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidResponse(Problem::new(description))
    }

    /// Reason in events.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "provider_away",
            Self::InvalidResponse(_) => "provider_wrong",
            Self::OtherIssuer => "wrong_issuer",
            Self::IssuerChanged => "issuer_changed",
            Self::Refused { .. } => "refused_by_provider",
            Self::Gateway(_) => "store_unavailable",
        }
    }
}

impl From<EgressError> for ProviderError {
    fn from(error: EgressError) -> Self {
        Self::Unavailable(Problem::of(error))
    }
}

impl From<JwtError> for ProviderError {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::KeysUnavailable(source) => {
                Self::Unavailable(Problem { description: source.to_string().into(), source: Some(source) })
            }
            error => Self::InvalidResponse(Problem::of(error)),
        }
    }
}

impl From<TokenRequestError> for ProviderError {
    fn from(error: TokenRequestError) -> Self {
        match error {
            TokenRequestError::Unavailable(problem) => Self::Unavailable(problem),
            error @ TokenRequestError::Refused { .. } => {
                Self::InvalidResponse(Problem::caused_by("it rejected the token request", error))
            }
            TokenRequestError::InvalidResponse(problem) => Self::InvalidResponse(problem),
        }
    }
}

impl From<StoreError> for ProviderError {
    fn from(error: StoreError) -> Self {
        Self::Gateway(Problem::of(error))
    }
}

impl From<NoRandomness> for ProviderError {
    fn from(error: NoRandomness) -> Self {
        Self::Gateway(Problem::of(error))
    }
}
