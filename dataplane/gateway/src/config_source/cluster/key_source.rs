//! The key rings, without which nothing is served: from a mounted file, from the API, or from the copy that an earlier process
//! of this replica kept.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use portcullis_config_distribution::{KEYS_SECRET, KEYS_SECRET_ENTRY};
use portcullis_key_encryption::{KeyEncryption, KeyEncryptionError};
use portcullis_keyring::Keyring;
use zeroize::Zeroizing;

use super::atomic_file;
use super::watches::{error_chain, is_unavailable};

/// How often to ask for keys that are not there yet.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// An API server that takes longer does not answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A `keys.json` as it is stored: perhaps encrypted.
pub(super) type StoredKeys = Zeroizing<Vec<u8>>;

/// The rings that are worked with, and what they were read from.
pub(super) struct ActiveKeys {
    pub(super) keys: Arc<Keyring>,
    pub(super) stored: StoredKeys,
}

/// Where to look for them.
pub(super) struct KeySources<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    /// A file that is looked at in place of the API.
    pub(super) mounted: Option<&'a Path>,
    /// The copy of an earlier process.
    pub(super) copy: Option<&'a Path>,
}

impl KeySources<'_> {
    /// Waits until there are keys that can be opened: the operator makes them when it is first installed, and a transit service
    /// may come later than this process. Keys that nobody may work with are not waited for.
    pub(super) async fn wait_for_keys(&self, custody: &KeyEncryption) -> anyhow::Result<ActiveKeys> {
        let mut told = None;
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
            if told.as_ref() != Some(&problem) {
                tracing::warn!("waiting for keys: {problem}");
                told = Some(problem);
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn find(&self) -> Result<StoredKeys, String> {
        if let Some(path) = self.mounted {
            return read_keys(path)
                .ok_or_else(|| format!("there is nothing to be read in {}", path.display()));
        }
        let namespace = self.namespace;
        let problem = match tokio::time::timeout(REQUEST_TIMEOUT, fetch_secret(self.client, namespace)).await
        {
            Ok(Ok(Some(text))) => return Ok(text),
            Ok(Ok(None)) => {
                return Err(format!(
                    "the Secret {namespace}/{KEYS_SECRET} is not there yet; the operator makes it"
                ));
            }
            Ok(Err(error)) if !is_unavailable(&error) => {
                return Err(format!(
                    "the Secret {namespace}/{KEYS_SECRET} cannot be read: {}",
                    error_chain(&error)
                ));
            }
            Ok(Err(error)) => format!("the API server does not answer: {}", error_chain(&error)),
            Err(_) => "the API server does not answer".to_owned(),
        };
        let kept = self.copy.and_then(read_keys).ok_or(problem)?;
        tracing::warn!("the API server does not answer; the keys are those of the last start");
        Ok(kept)
    }
}

/// Keeps a copy for a start without the API server. In a folder that is nobody else's.
pub(super) fn save_copy(path: &Path, stored: &[u8]) {
    if read_keys(path).is_some_and(|kept| *kept == stored) {
        return;
    }
    if let Err(error) = atomic_file::replace(path, stored) {
        tracing::warn!(
            "{} cannot be written, so that a start without the API server will fail: {error}",
            path.display()
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
