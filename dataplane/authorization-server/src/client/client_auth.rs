//! How clients authenticate at the token endpoint.

use super::public_keys::PublicKeys;
use portcullis_jwt_verification::JwksSource;

/// The credential that a client must present at the token endpoint. Other methods are rejected.
pub(crate) enum ClientAuth {
    /// None: a public client, protected by PKCE and refresh token rotation (`none`).
    Nothing,
    /// A secret.
    Secret {
        /// SHA-256 of the secret.
        digest: String,
        /// Where the client must send it.
        by: SecretMethod,
    },
    /// A signed assertion (`private_key_jwt`).
    Assertion {
        /// Keys that verify the signature.
        keys: JwksSource,
        /// The only accepted algorithm, if the client registered one.
        algorithm: Option<String>,
        /// Whether the assertion is optional, because the client's metadata lists `none` too.
        or_nothing: bool,
    },
}

/// Where a client sends its secret (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretMethod {
    /// In the `Authorization` header.
    Basic,
    /// In the form.
    Post,
    /// In either: the settings do not specify the method.
    Either,
}

impl ClientAuth {
    /// Requires an assertion verified by these keys. `None` if the keys are invalid.
    pub(super) fn assertion(keys: &PublicKeys, or_nothing: bool) -> Option<Self> {
        let algorithm = keys.algorithm().map(ToOwned::to_owned);
        Some(Self::Assertion { keys: keys.source()?, algorithm, or_nothing })
    }
}
