use std::path::PathBuf;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::KeyEncryptionError;

/// How to sign in to the service. Done anew at each use: there are few, and nothing has to be renewed.
pub(crate) enum TransitLogin {
    /// By a token in a file.
    Token(PathBuf),
    /// As a service account of the cluster (the Kubernetes auth method).
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        role: String,
        /// The file with the service account's token.
        token: PathBuf,
    },
}

/// The first line's word of a file.
pub(crate) async fn read_secret(path: &PathBuf) -> Result<SecretString, KeyEncryptionError> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map(Zeroizing::new)
        .map_err(|source| KeyEncryptionError::Credential { path: path.display().to_string(), source })?;
    Ok(SecretString::from(text.trim()))
}
