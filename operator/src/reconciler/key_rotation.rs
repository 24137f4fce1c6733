//! Loads the key rings and rotates them. Each rotation step waits for the replicas that it affects.

use std::sync::Arc;

use portcullis_key_encryption::KeyEncryptionError;
use portcullis_keyring::{KeyDocument, Keyring, RotationStatus, RotationStep};
use zeroize::Zeroizing;

use super::{Reconciler, with_timeout};
use crate::cluster_state::Replica;
use crate::publish::{WriteError, has_current_mac};

/// Key of the key rings in the retry queue.
const KEYS_RETRY_KEY: &str = "keys";

/// The key rings in use, and the stored form that they were read from.
pub(super) struct LoadedKeys {
    generation: u64,
    pub(super) keys: Arc<Keyring>,
    document: KeyDocument,
    stored: Zeroizing<Vec<u8>>,
}

impl Reconciler {
    /// The key rings, which are created if missing. `None` if they cannot be used: then nothing can be
    /// published.
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
            // The rings in memory stay in use: the service that decrypts the new ones may be unavailable.
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
                tracing::error!("the Secret with the keys was deleted; restoring it from memory");
                rings.stored.clone()
            }
            None => {
                tracing::info!("no keys exist yet, generating them");
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

    /// Whether a rotation step, or a change of the key encryption, is due.
    pub(super) fn is_key_rotation_due(&self) -> bool {
        self.retry_queue.can_try(KEYS_RETRY_KEY)
            && self.keys.as_ref().is_some_and(|rings| {
                !self.context.key_encryption.is_up_to_date(&rings.stored)
                    || self.next_step(rings).is_ok_and(|it| it.is_some())
            })
    }

    /// Takes the next rotation step, or stores the rings with the configured encryption. Returns whether it
    /// wrote.
    pub(super) async fn rotate_keys(&mut self) -> bool {
        let Some(rings) = self.keys.as_ref().filter(|_| self.retry_queue.can_try(KEYS_RETRY_KEY)) else {
            return false;
        };
        // Only the version that was read may be overwritten.
        if rings.generation != self.context.cluster_state.published.keys_generation
            || !*self.context.leading.borrow()
        {
            return false;
        }
        let (document, step) = match self.next_step(rings) {
            Ok(Some(step)) => step,
            Ok(None) if self.context.key_encryption.is_up_to_date(&rings.stored) => return false,
            Ok(None) => (rings.document.clone(), "stored with the configured encryption".to_owned()),
            Err(error) => {
                self.record_failure(KEYS_RETRY_KEY, &error);
                return false;
            }
        };
        match self.write_keys(&document).await {
            Ok(()) => {
                tracing::info!(%step, "updated the key rings");
                self.retry_queue.succeeded(KEYS_RETRY_KEY);
                true
            }
            Err(error) => {
                self.record_failure(KEYS_RETRY_KEY, &error);
                false
            }
        }
    }

    /// The key document after its next step and what the step is, if one is due: the id of the installation,
    /// required serials, or a step of a rotation.
    fn next_step(&self, rings: &LoadedKeys) -> Result<Option<(KeyDocument, String)>, WriteError> {
        let mut document = rings.document.clone();
        if document.add_installation(&self.context.random)? {
            return Ok(Some((document, "installation id added".to_owned())));
        }
        if self.has_serials_everywhere(rings) && document.require_serials() {
            return Ok(Some((document, "serials are required now".to_owned())));
        }
        Ok(self.next_rotation_step(rings)?.map(|(document, step)| (document, step.to_string())))
    }

    /// Whether every published object is intact and has a serial of this installation. Computed only until
    /// serials are required.
    fn has_serials_everywhere(&self, rings: &LoadedKeys) -> bool {
        let Some(installation) = rings.document.installation().filter(|it| !it.serials_required) else {
            return false;
        };
        let objects = &self.context.cluster_state.published.objects;
        objects.values().all(|object| object.serial(&installation.id).is_some())
    }

    /// The rings after their next rotation step, if one is due.
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
                && published.restored_uids.as_ref().is_none_or(is_current)
                && published.slugs.as_ref().is_none_or(is_current),
        }
    }

    /// The rotation request in the annotation of the served McpGateway.
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

/// Whether every replica that takes traffic reports exactly these rings. `false` without replicas.
fn all_use_keys(replicas: &[Replica], fingerprint: &str) -> bool {
    !replicas.is_empty()
        && replicas.iter().all(|it| it.report.as_ref().is_some_and(|report| report.keys == fingerprint))
}

/// Whether every replica reports that nothing in the store is sealed under another key. `false` without
/// replicas.
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
        assert!(!all_use_keys(&[], "now") && !all_reencrypted(&[], "key"), "unknown without replicas");
    }
}
