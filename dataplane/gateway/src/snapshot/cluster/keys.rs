//! The key rings, without which nothing is served: from a mounted file, from the API, or from the copy that an earlier process
//! of this replica kept.

use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use portcullis_keys::Keys;
use portcullis_publication::{KEYS_DATA, KEYS_NAME};
use zeroize::Zeroizing;

use super::file;
use super::watches::{in_words, is_unanswered};

/// How often to ask for keys that are not there yet.
const AGAIN: Duration = Duration::from_secs(1);
/// An API server that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The text of a `keys.json`.
pub(super) type Text = Zeroizing<Vec<u8>>;

/// Waits until there are keys: the operator makes them when it is first installed.
pub(super) async fn obtain(
    client: &Client,
    namespace: &str,
    mounted: Option<&Path>,
    kept: Option<&Path>,
) -> anyhow::Result<(Keys, Text)> {
    let mut told = None;
    loop {
        if let Some(text) = mounted.and_then(read) {
            return Ok((Keys::from_json(&text)?, text));
        }
        let problem = match tokio::time::timeout(PATIENCE, published(client, namespace)).await {
            Ok(Ok(Some(text))) => {
                let keys = Keys::from_json(&text)?;
                if let Some(kept) = kept {
                    keep(kept, &text);
                }
                return Ok((keys, text));
            }
            Ok(Ok(None)) => {
                format!("the Secret {namespace}/{KEYS_NAME} is not there yet; the operator makes it")
            }
            Ok(Err(error)) if is_unanswered(&error) => match kept.and_then(read) {
                Some(text) => {
                    tracing::warn!("the API server does not answer; the keys are those of the last start");
                    return Ok((Keys::from_json(&text)?, text));
                }
                None => format!("the API server does not answer: {}", in_words(&error)),
            },
            Ok(Err(error)) => {
                format!("the Secret {namespace}/{KEYS_NAME} cannot be read: {}", in_words(&error))
            }
            Err(_) => match kept.and_then(read) {
                Some(text) => {
                    tracing::warn!("the API server does not answer; the keys are those of the last start");
                    return Ok((Keys::from_json(&text)?, text));
                }
                None => "the API server does not answer".to_owned(),
            },
        };
        if told.as_ref() != Some(&problem) {
            tracing::warn!("waiting for keys: {problem}");
            told = Some(problem);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Keeps a copy for a start without the API server. In a folder that is nobody else's.
pub(super) fn keep(path: &Path, text: &[u8]) {
    if read(path).is_some_and(|kept| *kept == text) {
        return;
    }
    if let Err(error) = file::replace(path, text) {
        tracing::warn!(
            "{} cannot be written, so that a start without the API server will fail: {error}",
            path.display()
        );
    }
}

async fn published(client: &Client, namespace: &str) -> Result<Option<Text>, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(KEYS_NAME).await?;
    let text = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(KEYS_DATA));
    Ok(text.map(|text| Zeroizing::new(text.0)))
}

fn read(path: &Path) -> Option<Text> {
    fs::read(path).ok().filter(|text| !text.is_empty()).map(Zeroizing::new)
}
