//! Loads the key rings, which are required for serving: from a mounted file, from the API, or from the copy
//! that an earlier process of this replica stored.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use portcullis_config_distribution::{KEYS_SECRET, KEYS_SECRET_ENTRY};
use portcullis_key_encryption::{KeyEncryption, KeyEncryptionError};
use portcullis_keyring::{Keyring, replace_file};
use portcullis_logging::LoggedState;
use zeroize::Zeroizing;

use super::watches::{is_unavailable, kube_error_message};

/// Delay between attempts to load the keys.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Deadline of a request to the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A `keys.json` as it is stored, possibly encrypted.
pub(super) type StoredKeys = Zeroizing<Vec<u8>>;

/// The key rings in use, and the stored form that they were read from.
pub(super) struct ActiveKeys {
    pub(super) keys: Arc<Keyring>,
    pub(super) stored: StoredKeys,
}

/// Possible sources of the key rings.
pub(super) struct KeySources<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    /// A mounted file, used instead of the API.
    pub(super) mounted: Option<&'a Path>,
    /// The copy that an earlier process stored.
    pub(super) copy: Option<&'a Path>,
}

/// Why there are no stored keys.
#[derive(Debug, thiserror::Error)]
enum FindKeysError {
    /// The mounted file has no content.
    #[error("{} is missing, empty or unreadable", .0.display())]
    NoFile(PathBuf),
    /// The operator did not create the Secret yet.
    #[error("Secret {namespace}/{KEYS_SECRET} does not exist yet; the operator creates it")]
    NoSecret { namespace: String },
    /// The API server rejected the request.
    #[error("failed to read Secret {namespace}/{KEYS_SECRET}: {}", kube_error_message(.source))]
    Rejected { namespace: String, source: kube::Error },
    /// The API server is unavailable, and there is no copy.
    #[error("the API server is unavailable: {}", kube_error_message(.0))]
    Unavailable(#[source] kube::Error),
    /// The API server did not respond in time, and there is no copy.
    #[error("the API server did not respond within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
}

impl KeySources<'_> {
    /// Waits for keys that can be decrypted. The operator creates them when it is first installed, and a
    /// transit service may become available after this process starts.
    ///
    /// # Errors
    /// When retrying does not help: the keys are invalid, or the key encryption is not configured for them.
    pub(super) async fn wait_for_keys(&self, key_encryption: &KeyEncryption) -> anyhow::Result<ActiveKeys> {
        let mut logged = LoggedState::default();
        loop {
            let problem = match self.find().await {
                Ok(stored) => match key_encryption.decrypt(&stored).await {
                    Ok(text) => {
                        let keys = Arc::new(Keyring::from_json(&text)?);
                        if let Some(kept) = self.copy {
                            save_copy(kept, &stored);
                        }
                        return Ok(ActiveKeys { keys, stored });
                    }
                    Err(
                        error @ (KeyEncryptionError::Encrypted { .. } | KeyEncryptionError::Arguments(_)),
                    ) => {
                        return Err(error.into());
                    }
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if logged.changes_to(Some(problem.clone())) {
                tracing::warn!(error = %problem, "keys unavailable, retrying");
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn find(&self) -> Result<StoredKeys, FindKeysError> {
        if let Some(path) = self.mounted {
            return read_keys(path).ok_or_else(|| FindKeysError::NoFile(path.to_owned()));
        }
        let namespace = || self.namespace.to_owned();
        let fetching = fetch_secret(self.client, self.namespace);
        let error = match tokio::time::timeout(REQUEST_TIMEOUT, fetching).await {
            Ok(Ok(Some(text))) => return Ok(text),
            Ok(Ok(None)) => return Err(FindKeysError::NoSecret { namespace: namespace() }),
            Ok(Err(source)) if !is_unavailable(&source) => {
                return Err(FindKeysError::Rejected { namespace: namespace(), source });
            }
            Ok(Err(error)) => FindKeysError::Unavailable(error),
            Err(_) => FindKeysError::Timeout,
        };
        let kept = self.copy.and_then(read_keys).ok_or(error)?;
        tracing::warn!("API server unavailable; using the stored copy of the keys");
        Ok(kept)
    }
}

/// Stores a copy for a start without the API server. The folder must be private to this replica.
pub(super) fn save_copy(path: &Path, stored: &[u8]) {
    if read_keys(path).is_some_and(|kept| *kept == stored) {
        return;
    }
    if let Err(error) = replace_file(path, stored) {
        tracing::warn!(
            %error,
            file = %path.display(),
            "failed to store a copy of the keys; without it this replica cannot start while the API server is unavailable"
        );
    }
}

async fn fetch_secret(client: &Client, namespace: &str) -> Result<Option<StoredKeys>, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(KEYS_SECRET).await?;
    let text = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(KEYS_SECRET_ENTRY));
    Ok(text.map(|text| Zeroizing::new(text.0)))
}

pub(super) fn read_keys(path: &Path) -> Option<StoredKeys> {
    fs::read(path).ok().filter(|text| !text.is_empty()).map(Zeroizing::new)
}
