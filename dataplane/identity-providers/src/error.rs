//! The error of requests to identity providers.

use portcullis_clock::NoRandomness;
use portcullis_egress::EgressError;
use portcullis_jwt_verification::JwtError;
use portcullis_store::StoreError;

use crate::token_endpoint::TokenRequestError;

/// A sign-in or another request to an identity provider failed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider did not respond, or reported that it is temporarily unavailable.
    #[error("the identity provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider's response is invalid, or the gateway's settings do not match the provider.
    #[error("{0}")]
    InvalidResponse(String),
    /// The response names another issuer (RFC 9207).
    #[error("the response is from another issuer than the configured identity provider; sign in again")]
    OtherIssuer,
    /// The provider returned an error response (RFC 6749, section 4.1.2.1).
    #[error("{}", description.as_ref().map_or_else(|| code.clone(), |text| format!("{text} ({code})")))]
    Refused {
        /// `error` of the response.
        code: String,
        /// `error_description` of the response.
        description: Option<String>,
    },
    /// The gateway's store, keys or random source failed.
    #[error("{0}")]
    Gateway(String),
}

impl ProviderError {
    /// Reason in events.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "provider_away",
            Self::InvalidResponse(_) => "provider_wrong",
            Self::OtherIssuer => "wrong_issuer",
            Self::Refused { .. } => "refused_by_provider",
            Self::Gateway(_) => "store_unavailable",
        }
    }
}

impl From<EgressError> for ProviderError {
    fn from(error: EgressError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<JwtError> for ProviderError {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::KeysUnavailable(error) => Self::Unavailable(error.to_string()),
            error => Self::InvalidResponse(error.to_string()),
        }
    }
}

impl From<TokenRequestError> for ProviderError {
    fn from(error: TokenRequestError) -> Self {
        match error {
            TokenRequestError::Unavailable(problem) => Self::Unavailable(problem),
            error @ TokenRequestError::Refused { .. } => {
                Self::InvalidResponse(format!("it rejected the token request: {error}"))
            }
            TokenRequestError::InvalidResponse(problem) => Self::InvalidResponse(problem),
        }
    }
}

impl From<StoreError> for ProviderError {
    fn from(error: StoreError) -> Self {
        Self::Gateway(error.to_string())
    }
}

impl From<NoRandomness> for ProviderError {
    fn from(error: NoRandomness) -> Self {
        Self::Gateway(error.to_string())
    }
}
