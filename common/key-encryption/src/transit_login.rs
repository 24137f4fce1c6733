//! Sign-in to the transit service.

use std::path::PathBuf;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::KeyEncryptionError;

/// How to sign in to the service. Each use signs in again: uses are rare, so no token has to be renewed.
pub(crate) enum TransitLogin {
    /// With a token from a file.
    Token(PathBuf),
    /// As a service account of the cluster (the Kubernetes auth method).
    Kubernetes {
        /// Path where the method is mounted.
        mount: String,
        role: String,
        /// File with the service account's token.
        token: PathBuf,
    },
}

/// Reads a secret from a file, without surrounding white space.
pub(crate) async fn read_secret(path: &PathBuf) -> Result<SecretString, KeyEncryptionError> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map(Zeroizing::new)
        .map_err(|source| KeyEncryptionError::Credential { path: path.display().to_string(), source })?;
    Ok(SecretString::from(text.trim()))
}
