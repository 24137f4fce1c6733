//! Compares the desired with the published objects, and writes the difference.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use portcullis_clock::Random;
use portcullis_config_distribution::{
    DocumentKind, GENERATION_ANNOTATION, MANAGED_BY, OBJECT_KIND_LABEL, OWNER_CONFIG_MAP, OWNER_LABEL_VALUE,
    RESTORED_UIDS_CONFIG_MAP, RestoredUids, SOURCE_ANNOTATION, SealedCredential, SignError, SignedDocument,
    Stamp, sign_document, sign_restored_uids, sign_stamped,
};
use portcullis_keyring::Keyring;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::cluster_state::{ClusterEvent, PublishedConfig, PublishedObject};
use crate::desired_state::{Content, DesiredObject, DesiredState};

/// The field manager of everything that the operator applies.
pub(crate) const FIELD_MANAGER: &str = "portcullis-operator";

/// The writes that make the published config equal to the desired state.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Objects to apply, in this order: an object comes before those that refer to it.
    pub(crate) write: Vec<(DocumentKind, String)>,
    /// Objects to remove, in this order.
    pub(crate) remove: Vec<(DocumentKind, String)>,
}

/// Compares desired and published objects. An object is also written again if another client changed it, if
/// its MAC is of a key that is no longer current, or if a replica refuses its serial.
pub(crate) fn difference(
    desired_state: &DesiredState,
    published: &mut PublishedConfig,
    keys: &Keyring,
) -> Difference {
    let mut difference = Difference::default();
    let installation = keys.installation();
    let refused: BTreeSet<_> = published
        .refused_serials
        .keys()
        .filter(|name| published.refused_serial(name).is_some())
        .cloned()
        .collect();
    let PublishedConfig { objects, owner, .. } = published;
    let stamped = |object: &PublishedObject| {
        installation.as_ref().is_none_or(|installation| object.serial(&installation.id).is_some())
    };
    let owned = |object: &PublishedObject| owner.as_ref().is_none_or(|owner| object.owners.contains(owner));
    for (name, desired) in &desired_state.objects {
        let there = objects.get_mut(name);
        if matches!(desired.content, Content::Unchanged) {
            if let Some(there) = there {
                // Only for the object's stamp.
                there.is_intact(&keys.mac, name);
            }
            continue;
        }
        let same = there.is_some_and(|there| {
            there.kind == desired.kind
                && owned(there)
                && there.is_intact(&keys.mac, name)
                && stamped(there)
                && !refused.contains(name)
                && is_same(&desired.content, there, keys)
        });
        if !same {
            difference.write.push((desired.kind, name.clone()));
        }
    }
    for (name, there) in objects.iter() {
        if !desired_state.objects.contains_key(name) {
            difference.remove.push((there.kind, name.clone()));
        }
    }
    difference.write.sort();
    difference.remove.sort_by(|a, b| b.cmp(a));
    difference
}

fn is_same(content: &Content, there: &PublishedObject, keys: &Keyring) -> bool {
    match content {
        Content::Document { hash, .. } => there.content_hash() == Some(hash),
        Content::Unchanged => true,
        Content::Credential(key, value) => {
            let document = there.data.get("document");
            let document = document.and_then(|text| serde_json::from_str::<SealedCredential>(text).ok());
            document.filter(|document| document.key == *key).is_some_and(|document| {
                document.open(&keys.sealing).is_ok_and(|there| {
                    there.allowed_hosts == value.allowed_hosts
                        && there.value.expose_secret() == value.value.expose_secret()
                })
            })
        }
    }
}

/// Whether the object's MAC is of the current key.
pub(crate) fn has_current_mac(keys: &Keyring, data: &BTreeMap<String, String>) -> bool {
    data.get("mac").is_some_and(|mac| keys.mac.is_current(mac))
}

/// A write that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The API server rejected the request, or the connection failed.
    #[error("the request to the API server failed: {0}")]
    Kube(#[from] kube::Error),
    /// The document could not be written or signed.
    #[error(transparent)]
    Publish(#[from] SignError),
    /// The credential could not be sealed.
    #[error(transparent)]
    Seal(#[from] portcullis_keyring::SealError),
    /// The keys are invalid, or new keys could not be generated.
    #[error(transparent)]
    Keys(#[from] portcullis_keyring::KeyringError),
    /// The operating system provides no randomness.
    #[error(transparent)]
    NoRandomness(#[from] portcullis_clock::NoRandomness),
    /// Encrypting or decrypting the keys failed.
    #[error(transparent)]
    KeyEncryption(Box<portcullis_key_encryption::KeyEncryptionError>),
    /// The write exceeded its deadline.
    #[error("the API server did not respond in time")]
    TimedOut,
}

/// Writes to the publication namespace.
#[derive(Clone)]
pub(crate) struct ConfigWriter {
    config_maps: Api<ConfigMap>,
    secrets: Api<Secret>,
    leases: Api<Lease>,
    random: Random,
}

impl ConfigWriter {
    pub(crate) fn new(client: &Client, namespace: &str, random: Random) -> Self {
        let config_maps = Api::namespaced(client.clone(), namespace);
        Self {
            config_maps,
            secrets: Api::namespaced(client.clone(), namespace),
            leases: Api::namespaced(client.clone(), namespace),
            random,
        }
    }

    /// Applies one object and returns the updated object as a change. `None` for [`Content::Unchanged`].
    /// Without a stamp the document has no serial: the installation has no id yet.
    pub(crate) async fn apply(
        &self,
        name: &str,
        desired: &DesiredObject,
        stamp: Option<&Stamp>,
        keys: &Keyring,
        owner: &str,
    ) -> Result<Option<ClusterEvent>, WriteError> {
        let text = match &desired.content {
            Content::Unchanged => return Ok(None),
            Content::Document { text, .. } => text.clone(),
            Content::Credential(key, value) => {
                let document = SealedCredential::seal(&keys.sealing, &self.random, key, value)?;
                serde_json::to_string(&document).map_err(SignError::from)?
            }
        };
        let sealed = match stamp {
            Some(stamp) => sign_stamped(&keys.mac, desired.kind, name, stamp, &text)?,
            None => {
                let document: &serde_json::value::RawValue =
                    serde_json::from_str(&text).map_err(SignError::from)?;
                sign_document(&keys.mac, desired.kind, name, &document)?
            }
        };
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(object(name, desired, sealed, owner));
        Ok(Some(if desired.kind == DocumentKind::Credential {
            let object = self.secrets.patch(name, &parameters, &patch).await?;
            ClusterEvent::Secret(kube::runtime::watcher::Event::Apply(object))
        } else {
            let object = self.config_maps.patch(name, &parameters, &patch).await?;
            ClusterEvent::ConfigMap(kube::runtime::watcher::Event::Apply(object))
        }))
    }

    /// Removes one object. Succeeds if the object is already gone.
    pub(crate) async fn remove(&self, kind: DocumentKind, name: &str) -> Result<(), WriteError> {
        let parameters = DeleteParams::default();
        let result = if kind == DocumentKind::Credential {
            self.secrets.delete(name, &parameters).await.map(|_| ())
        } else {
            self.config_maps.delete(name, &parameters).await.map(|_| ())
        };
        match result {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            result => Ok(result?),
        }
    }

    /// Deletes the Lease of a replica that is gone.
    pub(crate) async fn delete_lease(&self, name: &str) -> Result<(), WriteError> {
        match self.leases.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            result => Ok(result.map(|_| ())?),
        }
    }

    /// Signs the existing restored UIDs with the current key and writes them.
    pub(crate) async fn resign_restored_uids(
        &self,
        keys: &Keyring,
        restored_uids: &RestoredUids,
    ) -> Result<ClusterEvent, WriteError> {
        let data = sign_restored_uids(&keys.mac, restored_uids)?.data();
        self.write_record(RESTORED_UIDS_CONFIG_MAP, data).await
    }

    /// Writes a ConfigMap that only the operator reads and that nothing owns.
    pub(crate) async fn write_record(
        &self,
        name: &str,
        data: BTreeMap<String, String>,
    ) -> Result<ClusterEvent, WriteError> {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": MANAGED_BY}},
            "data": data,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let object = self.config_maps.patch(name, &parameters, &Patch::Apply(object)).await?;
        Ok(ClusterEvent::ConfigMap(kube::runtime::watcher::Event::Apply(object)))
    }

    /// Creates the ConfigMap that owns all others. In an installation by Helm the chart has created it
    /// already.
    pub(crate) async fn create_owner(&self) -> Result<ClusterEvent, WriteError> {
        let labels =
            json!({OBJECT_KIND_LABEL: OWNER_LABEL_VALUE, "app.kubernetes.io/managed-by": MANAGED_BY});
        let owner = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": OWNER_CONFIG_MAP, "labels": labels},
        });
        let parameters = PatchParams::apply(FIELD_MANAGER);
        let owner = self.config_maps.patch(OWNER_CONFIG_MAP, &parameters, &Patch::Apply(owner)).await?;
        Ok(ClusterEvent::ConfigMap(kube::runtime::watcher::Event::Apply(owner)))
    }
}

fn object(name: &str, desired: &DesiredObject, sealed: SignedDocument, owner: &str) -> Value {
    let mut annotations = BTreeMap::new();
    if let Some((id, generation)) = &desired.source {
        annotations.insert(SOURCE_ANNOTATION, id.to_string());
        annotations.insert(GENERATION_ANNOTATION, generation.to_string());
    }
    let mut data = sealed.data();
    if desired.kind == DocumentKind::Credential {
        data.values_mut().for_each(|value| *value = STANDARD.encode(value.as_bytes()));
    }
    json!({
        "apiVersion": "v1",
        "kind": desired.kind.object_kind(),
        "metadata": {
            "name": name,
            "labels": {OBJECT_KIND_LABEL: desired.kind.label(), "app.kubernetes.io/managed-by": MANAGED_BY},
            "annotations": annotations,
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": OWNER_CONFIG_MAP, "uid": owner}],
        },
        "data": data,
    })
}
