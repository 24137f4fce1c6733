/// Why an assertion does not count. The sentences are for whoever made it.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// Not a JWT in compact form (RFC 7515, section 7.1), or with a header that is not understood.
    #[error("it is not a signed JWT of a kind that is understood here")]
    Malformed,
    /// Another kind of token, made for something else (RFC 8725, section 3.11).
    #[error("its typ says that it is another kind of token")]
    WrongType,
    /// An algorithm that is not taken, or not with the keys there are.
    #[error("none of the keys is for its algorithm; see token_endpoint_auth_signing_alg_values_supported")]
    Algorithm,
    /// No key has the id that its header names.
    #[error("its key is not known; its kid has to be in the key set")]
    UnknownKey,
    /// Signed with another key, or changed since.
    #[error("its signature does not verify")]
    Signature,
    /// A claim is missing, or not of its type.
    #[error("its claim {0} is missing or malformed")]
    Claim(&'static str),
    /// A claim says something else than it must.
    #[error("its claim {0} is not what it has to be here")]
    Mismatch(&'static str),
    /// RFC 7523, section 3, rule 4.
    #[error("it has expired; make a new one for each request")]
    Expired,
    /// It begins later, or was issued later, than now.
    #[error("its time has not come: nbf or iat is in the future; set the clock right")]
    NotYetValid,
    /// It could be used for too long: what is remembered to tell it from its copies is bounded.
    #[error("its exp is more than an hour ahead; make one that is good for some minutes")]
    LifetimeTooLong,
    /// RFC 7523, section 3, rule 7.
    #[error("it was used before; make a new one, with a jti of its own, for each request")]
    Reused,
    /// The keys cannot be had at the moment.
    #[error("the keys that it is verified by cannot be fetched: {0}")]
    KeysUnavailable(String),
    /// What is at their address are no keys.
    #[error("the keys that it is verified by cannot be used: {0}")]
    KeysUnusable(String),
}

impl JwtError {
    /// For events.
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
