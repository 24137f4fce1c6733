use portcullis_clock::NoRandomness;
use portcullis_egress::EgressError;
use portcullis_jwt_verification::JwtError;
use portcullis_store::StoreError;

use crate::token_endpoint::TokenRequestError;

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer, or says that it cannot now.
    #[error("the identity provider does not answer: {0}")]
    Unavailable(String),
    /// It answers something that cannot be believed, or the gateway is not set up for it.
    #[error("{0}")]
    InvalidResponse(String),
    /// The answer came from somebody else (RFC 9207).
    #[error("the answer does not come from the provider that was asked")]
    OtherIssuer,
    /// It let nobody in (RFC 6749, section 4.1.2.1).
    #[error("{}", description.as_ref().map_or_else(|| code.clone(), |text| format!("{text} ({code})")))]
    Refused {
        /// Its word for why.
        code: String,
        /// Its sentence.
        description: Option<String>,
    },
    /// The gateway's own store, keys or random source.
    #[error("{0}")]
    Gateway(String),
}

impl ProviderError {
    /// For events.
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
            JwtError::KeysUnavailable(problem) => Self::Unavailable(problem),
            error => Self::InvalidResponse(error.to_string()),
        }
    }
}

impl From<TokenRequestError> for ProviderError {
    fn from(error: TokenRequestError) -> Self {
        match error {
            TokenRequestError::Unavailable(problem) => Self::Unavailable(problem),
            error @ TokenRequestError::Refused { .. } => {
                Self::InvalidResponse(format!("it did not accept the sign-in: {error}"))
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
