//! Loads the key rings, which are required for serving: from a mounted file, from the API, or from the copy
//! that an earlier process of this replica stored.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use portcullis_config_distribution::{KEYS_SECRET, KEYS_SECRET_ENTRY};
use portcullis_key_encryption::{KeyEncryption, KeyEncryptionError};
use portcullis_keyring::{Keyring, replace_file};
use portcullis_logging::LoggedState;
use zeroize::Zeroizing;

use super::watches::{error_chain, is_unavailable};

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

impl KeySources<'_> {
    /// Waits for keys that can be decrypted. The operator creates them when it is first installed, and a
    /// transit service may become available after this process starts.
    ///
    /// # Errors
    /// When retrying does not help: the keys are invalid, or the key encryption is not configured for them.
    pub(super) async fn wait_for_keys(&self, custody: &KeyEncryption) -> anyhow::Result<ActiveKeys> {
        let mut logged = LoggedState::default();
        loop {
            let problem = match self.find().await {
                Ok(stored) => match custody.decrypt(&stored).await {
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
                Err(problem) => problem,
            };
            if logged.changes_to(Some(problem.clone())) {
                tracing::warn!(error = %problem, "keys unavailable, retrying");
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn find(&self) -> Result<StoredKeys, String> {
        if let Some(path) = self.mounted {
            return read_keys(path)
                .ok_or_else(|| format!("{} is missing, empty or unreadable", path.display()));
        }
        let namespace = self.namespace;
        let problem = match tokio::time::timeout(REQUEST_TIMEOUT, fetch_secret(self.client, namespace)).await
        {
            Ok(Ok(Some(text))) => return Ok(text),
            Ok(Ok(None)) => {
                return Err(format!(
                    "Secret {namespace}/{KEYS_SECRET} does not exist yet; the operator creates it"
                ));
            }
            Ok(Err(error)) if !is_unavailable(&error) => {
                return Err(format!(
                    "failed to read Secret {namespace}/{KEYS_SECRET}: {}",
                    error_chain(&error)
                ));
            }
            Ok(Err(error)) => format!("the API server is unavailable: {}", error_chain(&error)),
            Err(_) => format!("the API server did not respond within {} s", REQUEST_TIMEOUT.as_secs()),
        };
        let kept = self.copy.and_then(read_keys).ok_or(problem)?;
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
