use portcullis_ambient::NoRandomness;
use portcullis_assertions::AssertionError;
use portcullis_outbound::OutboundError;
use portcullis_store::StoreError;

use crate::token::TokenError;

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer, or says that it cannot now.
    #[error("the identity provider does not answer: {0}")]
    Away(String),
    /// It answers something that cannot be believed, or the gateway is not set up for it.
    #[error("{0}")]
    Wrong(String),
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
            Self::Away(_) => "provider_away",
            Self::Wrong(_) => "provider_wrong",
            Self::OtherIssuer => "wrong_issuer",
            Self::Refused { .. } => "refused_by_provider",
            Self::Gateway(_) => "store_unavailable",
        }
    }
}

impl From<OutboundError> for ProviderError {
    fn from(error: OutboundError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<AssertionError> for ProviderError {
    fn from(error: AssertionError) -> Self {
        match error {
            AssertionError::KeysAway(problem) => Self::Away(problem),
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<TokenError> for ProviderError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Away(problem) => Self::Away(problem),
            error @ TokenError::Refused { .. } => {
                Self::Wrong(format!("it did not accept the sign-in: {error}"))
            }
            TokenError::Wrong(problem) => Self::Wrong(problem),
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
