//! The key rings, without which nothing is served: from a mounted file, from the API, or from the copy that an earlier process
//! of this replica kept.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use portcullis_custody::{Custody, CustodyError};
use portcullis_keys::Keys;
use portcullis_publication::{KEYS_DATA, KEYS_NAME};
use zeroize::Zeroizing;

use super::file;
use super::watches::{in_words, is_unanswered};

/// How often to ask for keys that are not there yet.
const AGAIN: Duration = Duration::from_secs(1);
/// An API server that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A `keys.json` as it is stored: perhaps encrypted.
pub(super) type Stored = Zeroizing<Vec<u8>>;

/// The rings that are worked with, and what they were read from.
pub(super) struct Rings {
    pub(super) keys: Arc<Keys>,
    pub(super) stored: Stored,
}

/// Where to look for them.
pub(super) struct Places<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    /// A file that is looked at in place of the API.
    pub(super) mounted: Option<&'a Path>,
    /// The copy of an earlier process.
    pub(super) kept: Option<&'a Path>,
}

impl Places<'_> {
    /// Waits until there are keys that can be opened: the operator makes them when it is first installed, and a transit service
    /// may come later than this process. Keys that nobody may work with are not waited for.
    pub(super) async fn obtain(&self, custody: &Custody) -> anyhow::Result<Rings> {
        let mut told = None;
        loop {
            let problem = match self.find().await {
                Ok(stored) => match custody.open(&stored).await {
                    Ok(text) => {
                        let keys = Arc::new(Keys::from_json(&text)?);
                        if let Some(kept) = self.kept {
                            keep(kept, &stored);
                        }
                        return Ok(Rings { keys, stored });
                    }
                    Err(error @ (CustodyError::Encrypted { .. } | CustodyError::Arguments(_))) => {
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
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn find(&self) -> Result<Stored, String> {
        if let Some(path) = self.mounted {
            return read(path).ok_or_else(|| format!("there is nothing to be read in {}", path.display()));
        }
        let namespace = self.namespace;
        let problem = match tokio::time::timeout(PATIENCE, published(self.client, namespace)).await {
            Ok(Ok(Some(text))) => return Ok(text),
            Ok(Ok(None)) => {
                return Err(format!(
                    "the Secret {namespace}/{KEYS_NAME} is not there yet; the operator makes it"
                ));
            }
            Ok(Err(error)) if !is_unanswered(&error) => {
                return Err(format!(
                    "the Secret {namespace}/{KEYS_NAME} cannot be read: {}",
                    in_words(&error)
                ));
            }
            Ok(Err(error)) => format!("the API server does not answer: {}", in_words(&error)),
            Err(_) => "the API server does not answer".to_owned(),
        };
        let kept = self.kept.and_then(read).ok_or(problem)?;
        tracing::warn!("the API server does not answer; the keys are those of the last start");
        Ok(kept)
    }
}

/// Keeps a copy for a start without the API server. In a folder that is nobody else's.
pub(super) fn keep(path: &Path, stored: &[u8]) {
    if read(path).is_some_and(|kept| *kept == stored) {
        return;
    }
    if let Err(error) = file::replace(path, stored) {
        tracing::warn!(
            "{} cannot be written, so that a start without the API server will fail: {error}",
            path.display()
        );
    }
}

async fn published(client: &Client, namespace: &str) -> Result<Option<Stored>, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(KEYS_NAME).await?;
    let text = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(KEYS_DATA));
    Ok(text.map(|text| Zeroizing::new(text.0)))
}

pub(super) fn read(path: &Path) -> Option<Stored> {
    fs::read(path).ok().filter(|text| !text.is_empty()).map(Zeroizing::new)
}
