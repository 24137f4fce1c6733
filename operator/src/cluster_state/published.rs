//! The publication namespace: published objects, their owner, the keys and the restored UIDs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::ObjectMeta;
use portcullis_compiler::ResourceId;
use portcullis_config_distribution::{
    DocumentKind, KEYS_SECRET, KEYS_SECRET_ENTRY, OBJECT_KIND_LABEL, OWNER_CONFIG_MAP,
    RESTORED_UIDS_CONFIG_MAP, verify_document,
};
use portcullis_keyring::MacRing;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::version;

/// The observed state of the publication namespace.
#[derive(Default)]
pub(crate) struct PublishedConfig {
    namespace: String,
    /// The published objects by name. Names are unique across kinds.
    pub(crate) objects: BTreeMap<String, PublishedObject>,
    /// UID of the ConfigMap that owns all published objects.
    pub(crate) owner: Option<String>,
    /// The key rings as stored, possibly encrypted.
    pub(crate) keys: Option<Zeroizing<Vec<u8>>>,
    /// Resource version of the Secret with the keys, for the compare-and-swap when it is replaced.
    pub(crate) keys_version: Option<String>,
    /// Increases with each change of the keys.
    pub(crate) keys_generation: u64,
    /// The restored UIDs as stored, not yet verified.
    pub(crate) restored_uids: Option<BTreeMap<String, String>>,
}

/// One published object.
#[derive(Clone, Debug)]
pub(crate) struct PublishedObject {
    pub(crate) kind: DocumentKind,
    pub(crate) version: u64,
    /// UIDs of its owner references.
    pub(crate) owners: Vec<String>,
    pub(crate) data: BTreeMap<String, String>,
    /// Whether hash and MAC match the document; `None` until checked.
    verified: Option<bool>,
}

impl PublishedObject {
    fn new(kind: DocumentKind, metadata: &ObjectMeta, data: BTreeMap<String, String>) -> Self {
        let owners = metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect();
        Self { kind, version: version(metadata), owners, data, verified: None }
    }

    /// The hash of its document, as stored in the object.
    pub(crate) fn hash(&self) -> Option<&str> {
        self.data.get("hash").map(String::as_str)
    }

    /// Whether hash and MAC match the document and the MAC is of the current key. The document is verified
    /// once. Its text is then dropped, except for the kinds that are read again.
    pub(crate) fn is_intact(&mut self, ring: &MacRing, name: &str) -> bool {
        let verified = *self
            .verified
            .get_or_insert_with(|| verify_document::<IgnoredAny>(ring, self.kind, name, &self.data).is_ok());
        if verified && !matches!(self.kind, DocumentKind::Credential | DocumentKind::Gateway) {
            self.data.remove("document");
        }
        verified && self.data.get("mac").is_some_and(|mac| ring.is_current(mac))
    }
}

impl PublishedConfig {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..Self::default() }
    }

    /// After a change of the keys, verifies again the objects that did not verify before.
    pub(crate) fn recheck_rejected(&mut self) {
        for object in self.objects.values_mut().filter(|object| object.verified == Some(false)) {
            object.verified = None;
        }
    }

    /// Records a ConfigMap from a watch or from the response to a write. An older version than the known one
    /// is ignored.
    pub(crate) fn apply_config_map(&mut self, object: ConfigMap) {
        let name = object.metadata.name.clone().unwrap_or_default();
        if name == OWNER_CONFIG_MAP {
            self.owner = object.metadata.uid;
        } else if name == RESTORED_UIDS_CONFIG_MAP {
            self.restored_uids = object.data;
        } else if let Some(kind) = kind(&object.metadata) {
            self.insert_newer(
                name,
                PublishedObject::new(kind, &object.metadata, object.data.unwrap_or_default()),
            );
        } else {
            self.objects.remove(&name);
        }
    }

    /// Records a Secret, like [`Self::apply_config_map`].
    pub(crate) fn apply_secret(&mut self, object: Secret) {
        let name = object.metadata.name.clone().unwrap_or_default();
        let data = object.data.unwrap_or_default();
        if name == KEYS_SECRET {
            let text = data.get(KEYS_SECRET_ENTRY).map(|text| Zeroizing::new(text.0.clone()));
            self.keys_version = object.metadata.resource_version;
            if self.keys != text {
                self.keys = text;
                self.keys_generation += 1;
            }
        } else if let Some(kind) = kind(&object.metadata) {
            let text = |(name, value): (String, k8s_openapi::ByteString)| {
                String::from_utf8(value.0).ok().map(|value| (name, value))
            };
            let data = data.into_iter().filter_map(text).collect();
            self.insert_newer(name, PublishedObject::new(kind, &object.metadata, data));
        } else {
            self.objects.remove(&name);
        }
    }

    fn insert_newer(&mut self, name: String, object: PublishedObject) {
        if self.objects.get(&name).is_none_or(|known| known.version < object.version) {
            self.objects.insert(name, object);
        }
    }

    pub(crate) fn remove_config_map(&mut self, name: &str, version: Option<u64>) {
        if name == OWNER_CONFIG_MAP {
            self.owner = None;
        }
        if name == RESTORED_UIDS_CONFIG_MAP {
            self.restored_uids = None;
        }
        self.remove(name, version);
    }

    pub(crate) fn remove_secret(&mut self, name: &str, version: Option<u64>) {
        if name == KEYS_SECRET {
            self.keys = None;
            self.keys_generation += 1;
        }
        self.remove(name, version);
    }

    fn remove(&mut self, name: &str, version: Option<u64>) {
        if self.objects.get(name).is_some_and(|known| version.is_none_or(|deleted| known.version <= deleted))
        {
            self.objects.remove(name);
        }
    }

    /// All known objects of this kind (`ConfigMap` or `Secret`), to find those that a new list no longer
    /// contains.
    pub(super) fn ids(&self, object_kind: &str) -> Vec<ResourceId> {
        let objects = self.objects.iter().filter(|(_, object)| object.kind.object_kind() == object_kind);
        let mut names: Vec<_> = objects.map(|(name, _)| name.as_str()).collect();
        match object_kind {
            "Secret" => names.extend(self.keys.is_some().then_some(KEYS_SECRET)),
            _ => {
                names.extend(self.owner.is_some().then_some(OWNER_CONFIG_MAP));
                names.extend(self.restored_uids.is_some().then_some(RESTORED_UIDS_CONFIG_MAP));
            }
        }
        names.into_iter().map(|name| ResourceId::new(object_kind, &self.namespace, name)).collect()
    }
}

fn kind(metadata: &ObjectMeta) -> Option<DocumentKind> {
    metadata.labels.as_ref()?.get(OBJECT_KIND_LABEL).and_then(|value| DocumentKind::from_label(value))
}
