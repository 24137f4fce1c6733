use super::public_keys::PublicKeys;
use portcullis_jwt_verification::JwksSource;

/// What a client has to show at the token endpoint to be itself. One registered with one method cannot use another.
pub(crate) enum ClientAuth {
    /// Nothing: PKCE and its refresh token are all it has (`none`).
    Nothing,
    /// A secret.
    Secret {
        /// SHA-256 of it.
        digest: String,
        /// Where it comes.
        by: SecretMethod,
    },
    /// An assertion that it has signed (`private_key_jwt`).
    Assertion {
        /// With one of these.
        keys: JwksSource,
        /// With this algorithm alone.
        algorithm: Option<String>,
        /// Its metadata lists `none` too, so that it may come without.
        or_nothing: bool,
    },
}

/// Where a secret comes (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretMethod {
    /// In the `Authorization` header.
    Basic,
    /// In the form.
    Post,
    /// In either: nobody has said which.
    Either,
}

impl ClientAuth {
    /// An assertion that these keys verify. `None` where they cannot be used.
    pub(super) fn assertion(keys: &PublicKeys, or_nothing: bool) -> Option<Self> {
        let algorithm = keys.algorithm().map(ToOwned::to_owned);
        Some(Self::Assertion { keys: keys.source()?, algorithm, or_nothing })
    }
}
