//! The publication namespace: published objects, their owner, the keys and the restored UIDs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::ObjectMeta;
use portcullis_clock::UnixMillis;
use portcullis_compiler::ResourceId;
use portcullis_config_distribution::{
    DocumentKind, KEYS_SECRET, KEYS_SECRET_ENTRY, OBJECT_KIND_LABEL, OWNER_CONFIG_MAP,
    RESTORED_UIDS_CONFIG_MAP, SLUGS_CONFIG_MAP, SOURCE_ANNOTATION, Stamp, content_hash, verify_stamped,
};
use portcullis_keyring::MacRing;
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::version;
use crate::slug_ledger::SlugHolder;

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
    /// The recorded slugs as stored, not yet verified.
    pub(crate) slugs: Option<BTreeMap<String, String>>,
    /// Versions that a replica refuses because their serial is too low, by object name.
    pub(crate) refused_serials: BTreeMap<String, RefusedSerial>,
}

/// Serials above this one in a report are ignored: year 5138 in Unix milliseconds. Otherwise anyone who can write
/// a report could use up all serials of an object.
const MAX_REPORTED_SERIAL: i64 = 100_000_000_000_000;

/// A version of an object that a replica refuses because it accepted a higher serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RefusedSerial {
    /// Resource version of the object.
    pub(crate) version: u64,
    /// The serial that the next version must exceed.
    pub(crate) accepted: i64,
}

/// One published object.
#[derive(Clone, Debug)]
pub(crate) struct PublishedObject {
    pub(crate) kind: DocumentKind,
    pub(crate) version: u64,
    /// UIDs of its owner references.
    pub(crate) owners: Vec<String>,
    pub(crate) data: BTreeMap<String, String>,
    /// The gateway only: the resource that it was published for, `McpGateway namespace/name`.
    pub(crate) source: Option<String>,
    /// `None` until checked.
    checked: Option<CheckedDocument>,
}

/// Result of the verification of an object.
#[derive(Clone, Debug, Default)]
struct CheckedDocument {
    /// Whether hash and MAC match the document.
    intact: bool,
    /// Its stamp. `None` for a document that is not intact, or of a version without serials.
    stamp: Option<Stamp>,
    /// Hash of the document without its stamp.
    content_hash: Option<String>,
    /// For a virtual MCP.
    route: Option<PublishedRoute>,
}

/// The slug of a published virtual MCP.
#[derive(Clone, Debug)]
pub(crate) struct PublishedRoute {
    pub(crate) slug: String,
    pub(crate) holder: SlugHolder,
    /// 0 for a document of a version without serials.
    pub(crate) serial: i64,
}

/// Members of a route document that identify its virtual MCP.
#[derive(Deserialize)]
struct RouteIdentity {
    slug: String,
    uid: String,
    name: String,
}

impl CheckedDocument {
    fn new(ring: &MacRing, kind: DocumentKind, name: &str, data: &BTreeMap<String, String>) -> Self {
        let Ok((stamp, _)) = verify_stamped::<IgnoredAny>(ring, kind, name, data) else {
            return Self::default();
        };
        let text = data.get("document").map_or("", String::as_str);
        let content = match &stamp {
            Some(stamp) => stamp.remove_from(text),
            None => Some(text.to_owned()),
        };
        let route = (kind == DocumentKind::Route).then(|| published_route(text, stamp.as_ref())).flatten();
        Self { intact: true, stamp, content_hash: content.as_deref().map(content_hash), route }
    }
}

fn published_route(text: &str, stamp: Option<&Stamp>) -> Option<PublishedRoute> {
    let RouteIdentity { slug, uid, name } = serde_json::from_str(text).ok()?;
    let namespace = name.split_once('/')?.0.to_owned();
    let serial = stamp.map_or(0, |stamp| stamp.serial);
    Some(PublishedRoute { slug, holder: SlugHolder { uid, namespace }, serial })
}

impl PublishedObject {
    fn new(kind: DocumentKind, metadata: &ObjectMeta, data: BTreeMap<String, String>) -> Self {
        let owners = metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect();
        let annotations = metadata.annotations.as_ref().filter(|_| kind == DocumentKind::Gateway);
        let source = annotations.and_then(|annotations| annotations.get(SOURCE_ANNOTATION)).cloned();
        Self { kind, version: version(metadata), owners, data, source, checked: None }
    }

    /// Hash of its document without the stamp; `None` before [`is_intact`](Self::is_intact), or if the
    /// document is not intact.
    pub(crate) fn content_hash(&self) -> Option<&str> {
        self.checked.as_ref()?.content_hash.as_deref()
    }

    /// Its serial, if the document is intact and of this installation.
    pub(crate) fn serial(&self, installation: &str) -> Option<i64> {
        let stamp = self.checked.as_ref()?.stamp.as_ref()?;
        (stamp.installation == installation).then_some(stamp.serial)
    }

    /// Whether hash and MAC match the document and the MAC is of the current key. The document is verified
    /// once. Its text is then dropped, except for the kinds that are read again.
    pub(crate) fn is_intact(&mut self, ring: &MacRing, name: &str) -> bool {
        let checked =
            self.checked.get_or_insert_with(|| CheckedDocument::new(ring, self.kind, name, &self.data));
        let verified = checked.intact;
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
        for object in self.objects.values_mut() {
            object.checked.take_if(|checked| !checked.intact);
        }
    }

    /// The intact documents of virtual MCPs.
    pub(crate) fn routes(&mut self, ring: &MacRing) -> impl Iterator<Item = &PublishedRoute> {
        let objects = self.objects.iter_mut().filter(|(_, object)| object.kind == DocumentKind::Route);
        objects.filter_map(|(name, object)| {
            object.is_intact(ring, name);
            object.checked.as_ref()?.route.as_ref()
        })
    }

    /// The serial that the next version of an object must exceed, if a replica refuses the current one.
    pub(crate) fn refused_serial(&self, name: &str) -> Option<i64> {
        let refused =
            self.refused_serials.get(name).filter(|refused| refused.accepted < MAX_REPORTED_SERIAL)?;
        let is_current = self.objects.get(name).is_some_and(|there| there.version == refused.version);
        is_current.then_some(refused.accepted)
    }

    /// The stamp for writing an object. An unchanged document keeps its serial, unless a replica refuses it.
    pub(crate) fn stamp_for(
        &self,
        name: &str,
        content_hash: Option<&str>,
        installation: &str,
        now: UnixMillis,
    ) -> Stamp {
        let there = self.objects.get(name);
        let last = there.and_then(|there| there.serial(installation));
        let refused = self.refused_serial(name);
        let unchanged =
            content_hash.is_some() && there.and_then(PublishedObject::content_hash) == content_hash;
        let serial = match last {
            Some(serial) if unchanged && refused.is_none() => serial,
            last => Stamp::next_serial(now.0, last.max(refused)),
        };
        Stamp { installation: installation.to_owned(), serial }
    }

    /// Records a ConfigMap from a watch or from the response to a write. An older version than the known one
    /// is ignored.
    pub(crate) fn apply_config_map(&mut self, object: ConfigMap) {
        let name = object.metadata.name.clone().unwrap_or_default();
        if name == OWNER_CONFIG_MAP {
            self.owner = object.metadata.uid;
        } else if name == RESTORED_UIDS_CONFIG_MAP {
            self.restored_uids = object.data;
        } else if name == SLUGS_CONFIG_MAP {
            self.slugs = object.data;
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
        if name == SLUGS_CONFIG_MAP {
            self.slugs = None;
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
                names.extend(self.slugs.is_some().then_some(SLUGS_CONFIG_MAP));
            }
        }
        names.into_iter().map(|name| ResourceId::new(object_kind, &self.namespace, name)).collect()
    }
}

fn kind(metadata: &ObjectMeta) -> Option<DocumentKind> {
    metadata.labels.as_ref()?.get(OBJECT_KIND_LABEL).and_then(|value| DocumentKind::from_label(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(serial: i64, version: u64) -> PublishedConfig {
        let stamp = Stamp { installation: "ours".to_owned(), serial };
        let checked = CheckedDocument {
            intact: true,
            stamp: Some(stamp),
            content_hash: Some("same".to_owned()),
            route: None,
        };
        let object = PublishedObject {
            kind: DocumentKind::Route,
            version,
            owners: Vec::new(),
            data: BTreeMap::new(),
            source: None,
            checked: Some(checked),
        };
        PublishedConfig { objects: [("route-a".to_owned(), object)].into(), ..PublishedConfig::default() }
    }

    fn serial(published: &PublishedConfig, name: &str, content: Option<&str>, now: i64) -> i64 {
        published.stamp_for(name, content, "ours", UnixMillis(now)).serial
    }

    #[test]
    fn given_an_object_then_its_serial_rises_only_when_its_content_changes_or_it_is_missing() {
        let published = published(50, 7);
        assert_eq!(serial(&published, "route-a", Some("same"), 100), 50);
        assert_eq!(serial(&published, "route-a", Some("other"), 100), 100);
        assert_eq!(serial(&published, "route-a", Some("other"), 20), 51, "the clock went back");
        assert_eq!(serial(&published, "route-a", None, 100), 100, "a credential is sealed anew");
        assert_eq!(serial(&published, "route-b", Some("same"), 100), 100);
        let elsewhere = published.stamp_for("route-a", Some("same"), "another", UnixMillis(10));
        assert_eq!(elsewhere.serial, 10);
    }

    #[test]
    fn given_a_replica_that_refuses_the_current_version_then_the_next_serial_exceeds_its_own() {
        let mut published = published(50, 7);
        let refused = RefusedSerial { version: 7, accepted: 500 };
        published.refused_serials = [("route-a".to_owned(), refused)].into();
        assert_eq!(serial(&published, "route-a", Some("same"), 100), 501);
        assert_eq!(serial(&published, "route-a", Some("same"), 1_000), 1_000);
        let earlier = RefusedSerial { version: 6, ..refused };
        let false_report = RefusedSerial { accepted: i64::MAX, ..refused };
        for ignored in [earlier, false_report] {
            published.refused_serials = [("route-a".to_owned(), ignored)].into();
            assert_eq!(serial(&published, "route-a", Some("same"), 100), 50, "{ignored:?}");
        }
    }
}
