//! The key rings that are worked with, and their rotation: each step waits for the replicas that it concerns.

use std::sync::Arc;

use portcullis_key_encryption::KeyEncryptionError;
use portcullis_keyring::{KeyDocument, Keyring, RotationStatus, RotationStep};
use zeroize::Zeroizing;

use super::{Reconciler, with_timeout};
use crate::cluster_state::Replica;
use crate::publish::{WriteError, has_current_mac};

/// What waits after a failure.
const KEYS_RETRY_KEY: &str = "keys";

/// The rings that are worked with, and what they were read from.
pub(super) struct LoadedKeys {
    generation: u64,
    pub(super) keys: Arc<Keyring>,
    document: KeyDocument,
    stored: Zeroizing<Vec<u8>>,
}

impl Reconciler {
    /// The rings; made where there are none. Without usable ones nothing can be published.
    pub(super) async fn keys(&mut self) -> Option<Arc<Keyring>> {
        if self.context.cluster_state.published.keys.is_none() {
            if !self.retry_queue.can_try(KEYS_RETRY_KEY) {
                return None;
            }
            if let Err(error) = self.create_keys().await {
                self.record_failure(KEYS_RETRY_KEY, &error);
                return None;
            }
            self.retry_queue.succeeded(KEYS_RETRY_KEY);
        }
        let generation = self.context.cluster_state.published.keys_generation;
        let known = self.keys.as_ref().map(|rings| (rings.generation, Arc::clone(&rings.keys)));
        match known {
            Some((at, keys)) if at == generation => return Some(keys),
            // Those in memory are good for what was published; who decrypts the new ones may be away.
            Some((_, keys)) if !self.retry_queue.can_try(KEYS_RETRY_KEY) => return Some(keys),
            None if !self.retry_queue.can_try(KEYS_RETRY_KEY) => return None,
            _ => {}
        }
        match self.load_keys(generation).await {
            Ok(rings) => {
                let keys = Arc::clone(&rings.keys);
                self.keys = Some(rings);
                self.context.cluster_state.published.recheck_rejected();
                self.retry_queue.succeeded(KEYS_RETRY_KEY);
                Some(keys)
            }
            Err(error) => {
                let stays = matches!(error, WriteError::KeyEncryption(_));
                self.record_failure(KEYS_RETRY_KEY, &error);
                known.filter(|_| stays).map(|(_, keys)| keys)
            }
        }
    }

    async fn create_keys(&mut self) -> Result<(), WriteError> {
        let stored = match &self.keys {
            Some(rings) => {
                tracing::error!("the Secret with the keys is gone; it is put back as it was");
                rings.stored.clone()
            }
            None => {
                tracing::info!("there are no keys yet; they are made");
                self.context.key_encryption.encrypt(&Keyring::generate(&self.context.random)?).await?
            }
        };
        let made = crate::keys_secret::create(&self.context.client, &self.context.namespace, &stored);
        let change = with_timeout(made).await?;
        self.context.cluster_state.handle(change);
        Ok(())
    }

    async fn load_keys(&self, generation: u64) -> Result<LoadedKeys, WriteError> {
        let stored = self.context.cluster_state.published.keys.clone().unwrap_or_default();
        let text = self.context.key_encryption.decrypt(&stored).await?;
        let keys = Arc::new(Keyring::from_json(&text)?);
        Ok(LoadedKeys { generation, keys, document: KeyDocument::read(&text)?, stored })
    }

    /// Whether the rings have another step to take.
    pub(super) fn is_key_rotation_due(&self) -> bool {
        self.retry_queue.can_try(KEYS_RETRY_KEY)
            && self.keys.as_ref().is_some_and(|rings| {
                !self.context.key_encryption.is_up_to_date(&rings.stored)
                    || self.next_rotation_step(rings).is_ok_and(|it| it.is_some())
            })
    }

    /// Takes the next step of a rotation, or begins to keep the rings in another way; whether there was one to take.
    pub(super) async fn rotate_keys(&mut self) -> bool {
        let Some(rings) = self.keys.as_ref().filter(|_| self.retry_queue.can_try(KEYS_RETRY_KEY)) else {
            return false;
        };
        // What is not known to be there is not written over.
        if rings.generation != self.context.cluster_state.published.keys_generation
            || !*self.context.leading.borrow()
        {
            return false;
        }
        let (document, step) = match self.next_rotation_step(rings) {
            Ok(Some((document, turn))) => (document, turn.to_string()),
            Ok(None) if self.context.key_encryption.is_up_to_date(&rings.stored) => return false,
            Ok(None) => (rings.document.clone(), "they are encrypted from now on".to_owned()),
            Err(error) => {
                self.record_failure(KEYS_RETRY_KEY, &error);
                return false;
            }
        };
        match self.write_keys(&document).await {
            Ok(()) => {
                tracing::info!("the key rings: {step}");
                self.retry_queue.succeeded(KEYS_RETRY_KEY);
                true
            }
            Err(error) => {
                self.record_failure(KEYS_RETRY_KEY, &error);
                false
            }
        }
    }

    /// The rings after their next step, if one is due.
    fn next_rotation_step(
        &self,
        rings: &LoadedKeys,
    ) -> Result<Option<(KeyDocument, RotationStep)>, WriteError> {
        let request = self.rotation_request();
        let mut document = rings.document.clone();
        let standing = self.rotation_progress(rings);
        let turn =
            document.advance_rotation(request, standing, self.context.clock.now(), &self.context.random)?;
        Ok(turn.map(|turn| (document, turn)))
    }

    fn rotation_progress(&self, rings: &LoadedKeys) -> RotationStatus {
        if !rings.document.is_rotating() {
            return RotationStatus::default();
        }
        let published = &self.context.cluster_state.published;
        let is_current = |data| has_current_mac(&rings.keys, data);
        RotationStatus {
            distributed: all_use_keys(&self.replicas, &rings.keys.fingerprint()),
            reencrypted: all_reencrypted(&self.replicas, &rings.keys.sealing.current_key_id()),
            republished: published.objects.values().all(|object| is_current(&object.data))
                && published.restored_uids.as_ref().is_none_or(is_current),
        }
    }

    /// What the McpGateway that is served asks for.
    fn rotation_request(&self) -> Option<&str> {
        let (id, _) =
            self.desired_state.objects_by_resource.iter().find(|(id, _)| id.kind == "McpGateway")?;
        self.context.cluster_state.tracked.get(id)?.rotate_keys.as_deref()
    }

    async fn write_keys(&mut self, document: &KeyDocument) -> Result<(), WriteError> {
        let stored = self.context.key_encryption.encrypt(&document.text()?).await?;
        let version = self.context.cluster_state.published.keys_version.clone().unwrap_or_default();
        let written =
            crate::keys_secret::replace(&self.context.client, &self.context.namespace, &version, &stored);
        let change = with_timeout(written).await?;
        self.context.cluster_state.handle(change);
        Ok(())
    }
}

/// Whether every replica that takes traffic has told that it works with exactly these rings. Without replicas nobody knows.
fn all_use_keys(replicas: &[Replica], fingerprint: &str) -> bool {
    !replicas.is_empty()
        && replicas.iter().all(|it| it.report.as_ref().is_some_and(|report| report.keys == fingerprint))
}

/// Whether each of them has found nothing in the store that is sealed under another key.
fn all_reencrypted(replicas: &[Replica], current: &str) -> bool {
    !replicas.is_empty()
        && replicas.iter().all(|it| it.report.as_ref().is_some_and(|report| report.sealed_under == current))
}

impl From<KeyEncryptionError> for WriteError {
    fn from(error: KeyEncryptionError) -> Self {
        Self::KeyEncryption(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_config_distribution::ReplicaReport;

    use super::*;

    fn replica(keys: &str, sealed_under: &str) -> Replica {
        let report = ReplicaReport {
            keys: keys.into(),
            sealed_under: sealed_under.into(),
            ..ReplicaReport::default()
        };
        Replica { name: "a".into(), report: Some(report), private: None }
    }

    /// Requirements: as.keys.rotation
    #[test]
    fn given_replicas_when_one_lags_or_says_nothing_or_is_of_a_version_that_says_nothing_then_it_is_waited_for()
     {
        let silent = Replica { name: "b".into(), report: None, private: None };
        let old = replica("", "");
        let has_it = || replica("now", "key");
        assert!(all_use_keys(&[has_it(), has_it()], "now") && all_reencrypted(&[has_it()], "key"));
        for other in [replica("before", "before"), silent, old] {
            assert!(!all_use_keys(&[has_it(), other.clone()], "now"));
            assert!(!all_reencrypted(&[has_it(), other], "key"));
        }
        assert!(!all_use_keys(&[], "now") && !all_reencrypted(&[], "key"), "nobody knows");
    }
}
