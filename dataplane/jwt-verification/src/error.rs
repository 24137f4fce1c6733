//! Reasons for rejecting a JWT.

use std::error::Error;

/// Why a JWT is rejected. The messages are for the client or provider that created it.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// Not a JWT in compact form (RFC 7515, section 7.1), or its header is not supported.
    #[error("it is not a signed JWT of a supported kind")]
    Malformed,
    /// A type of token for another use (RFC 8725, section 3.11).
    #[error("its typ is that of another kind of token")]
    WrongType,
    /// The algorithm is not supported, or does not match the keys.
    #[error("no key matches its algorithm; see token_endpoint_auth_signing_alg_values_supported")]
    Algorithm,
    /// No key has the `kid` in its header.
    #[error("its key is unknown; its kid has to be in the key set")]
    UnknownKey,
    /// Signed with another key, or changed afterwards.
    #[error("its signature is invalid")]
    Signature,
    /// A claim is missing or has the wrong type.
    #[error("its claim {0} is missing or malformed")]
    Claim(&'static str),
    /// A claim has another value than required.
    #[error("its claim {0} has the wrong value")]
    Mismatch(&'static str),
    /// RFC 7523, section 3, rule 4.
    #[error("it is expired; create a new one for each request")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("it is not valid yet: nbf or iat is in the future; check the clock")]
    NotYetValid,
    /// It would be valid for too long: ids of used assertions are only stored for a limited time.
    #[error("its exp is more than an hour ahead; use a lifetime of a few minutes")]
    LifetimeTooLong,
    /// RFC 7523, section 3, rule 7.
    #[error("it was used before; create a new one with a new jti for each request")]
    Reused,
    /// The keys are temporarily unavailable.
    #[error("the keys to verify it could not be fetched: {0}")]
    KeysUnavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The document with the keys is invalid.
    #[error("the keys to verify it are invalid: {0}")]
    KeysUnusable(#[source] Box<dyn Error + Send + Sync>),
}

impl JwtError {
    /// Reason in events.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed | Self::WrongType | Self::Claim(_) => "assertion_malformed",
            Self::Algorithm | Self::UnknownKey | Self::Signature => "assertion_signature",
            Self::Mismatch(_) => "assertion_mismatch",
            Self::Expired | Self::NotYetValid | Self::LifetimeTooLong => "assertion_time",
            Self::Reused => "assertion_reused",
            Self::KeysUnavailable(_) => "keys_unreachable",
            Self::KeysUnusable(_) => "keys_unusable",
        }
    }
}
