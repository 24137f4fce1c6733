//! A mirror of the published config: keeps the last verified version of each object and builds route tables
//! from them.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_config::SecretKey;
use portcullis_config_distribution::{
    DocumentKind, KEYS_LABEL_VALUE, OWNER_LABEL_VALUE, Rejection, ReplicaReport, VerifiedDocument,
    object_name,
};
use portcullis_keyring::Keyring;
use portcullis_policy::{DocumentRef, RouteTable, RouteTableBuilder};
use portcullis_store::PublishedSerialRow;
use sha2::{Digest as _, Sha256};

use super::accepted_serials::{AcceptedSerials, from_row};
use super::object::{WatchEvent, WatchedObject, WatchedResource};
use super::rejections::{RejectError, Rejections, clip};
use super::sealed_snapshot::ConfigSnapshot;
use crate::config_source::table_publisher::check_servable;

/// Maximum number of rejections in a report, which is limited by the size of an annotation.
const MAX_REJECTIONS: usize = 300;

/// The published config as this replica has it: the last verified version of each object, and the table built
/// from them.
///
/// Pure: changes go in, tables and reports come out.
pub(super) struct ConfigMirror {
    keys: Arc<Keyring>,
    listen: SocketAddr,
    accepted: BTreeMap<String, AcceptedObject>,
    serials: AcceptedSerials,
    rejected: Rejections,
    /// Verified documents that cannot be served, by object name, with the reason.
    unusable: BTreeMap<String, String>,
    observed: BTreeMap<WatchedResource, u64>,
    listed: HashSet<WatchedResource>,
    assembly: RouteTableBuilder,
    stale: bool,
}

struct AcceptedObject {
    object: Arc<WatchedObject>,
    kind: DocumentKind,
    identity: DocumentId,
}

/// A verified object.
struct Verified {
    identity: DocumentId,
    /// 0 for a document of a version without serials.
    serial: i64,
    piece: VerifiedDocument,
}

/// Identity of an object's document in the route table builder.
enum DocumentId {
    Gateway,
    Uid(String),
    Credential(SecretKey),
}

/// Follow-up work for the caller of [`ConfigMirror::apply`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MirrorEffect {
    Nothing,
    /// The key rings were published; carries their stored text.
    Keys(String),
}

impl ConfigMirror {
    /// An empty mirror. `listen` decides whether the gateway may use the development sign-in. `serials` are
    /// those in the store.
    pub(super) fn new(keys: Arc<Keyring>, listen: SocketAddr, serials: Vec<PublishedSerialRow>) -> Self {
        let mut accepted_serials = AcceptedSerials::default();
        accepted_serials.restore(serials.into_iter().map(from_row));
        Self {
            keys,
            listen,
            accepted: BTreeMap::new(),
            serials: accepted_serials,
            rejected: Rejections::default(),
            unusable: BTreeMap::new(),
            observed: BTreeMap::new(),
            listed: HashSet::new(),
            assembly: RouteTableBuilder::default(),
            stale: false,
        }
    }

    /// Applies a watch event.
    pub(super) fn apply(&mut self, change: WatchEvent) -> Vec<MirrorEffect> {
        match change {
            WatchEvent::Listed(resource, objects) => {
                let there: HashSet<String> = objects.iter().map(|object| object.name.clone()).collect();
                let is_removed = |name: &str| !there.contains(name);
                let accepted =
                    self.accepted.iter().filter(|(_, held)| held.kind.resource() == resource.plural());
                let accepted = accepted.map(|(name, _)| name.as_str());
                // An object that only the store knows was removed while this replica was not running.
                let known = accepted.chain(self.serials.present(resource));
                let removed: HashSet<String> =
                    known.filter(|name| is_removed(name)).map(str::to_owned).collect();
                for name in removed {
                    self.remove(&name);
                }
                self.rejected.retain_listed(resource, &there);
                // An object that is no longer listed was deleted at a later version, which a list does not
                // contain.
                self.observed.insert(resource, 0);
                self.listed.insert(resource);
                objects.into_iter().map(|object| self.put(resource, object)).collect()
            }
            WatchEvent::Applied(resource, object) => vec![self.put(resource, object)],
            WatchEvent::Deleted(resource, object) => {
                self.observe(resource, object.version);
                self.rejected.remove(&object.name);
                self.remove(&object.name);
                Vec::new()
            }
            WatchEvent::Failed { .. } => Vec::new(),
        }
    }

    /// Applies the snapshot of an earlier process. Its objects are verified like all others.
    pub(super) fn restore(&mut self, publication: ConfigSnapshot) {
        self.serials.restore(publication.serials);
        for object in publication.objects {
            let resource = match DocumentKind::from_label(&object.label) {
                Some(DocumentKind::Credential) => WatchedResource::Secrets,
                _ => WatchedResource::ConfigMaps,
            };
            // A resource that was already listed is newer than the snapshot, also where objects are missing.
            if !self.listed.contains(&resource) {
                self.put(resource, Arc::unwrap_or_clone(object));
            }
        }
        for resource in WatchedResource::ALL
            .into_iter()
            .filter(|resource| !self.listed.contains(resource))
            .collect::<Vec<_>>()
        {
            let version = publication.observed.get(resource.plural()).copied().unwrap_or_default();
            self.observed.insert(resource, version);
        }
    }

    /// Verifies rejected objects again after the key rings changed. Also marks the mirror as stale, because
    /// the snapshot must be sealed under the new keys.
    pub(super) fn reverify_rejected(&mut self) {
        self.stale = true;
        for (resource, object) in self.rejected.take() {
            self.put(resource, object);
        }
    }

    /// Whether both watches have completed their initial list.
    pub(super) fn is_complete(&self) -> bool {
        self.listed.len() == WatchedResource::ALL.len()
    }

    /// Whether no gateway is published, neither a valid nor a rejected one.
    pub(super) fn is_empty(&self) -> bool {
        let gateway = object_name(DocumentKind::Gateway, "");
        !self.accepted.contains_key(&gateway) && !self.rejected.contains(&gateway)
    }

    /// Object versions that were rejected since the process started.
    pub(super) fn rejections(&self) -> u64 {
        self.rejected.total()
    }

    /// Whether objects changed since the last table was built.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Builds the table. `None` without a valid gateway.
    pub(super) fn table(&mut self, generation: u64) -> Option<RouteTable> {
        self.stale = false;
        let (table, problems) = self.assembly.table(generation);
        let mut unusable = BTreeMap::new();
        for problem in problems {
            let name = match &problem.document {
                DocumentRef::Gateway => object_name(DocumentKind::Gateway, ""),
                DocumentRef::Origin(uid) => object_name(DocumentKind::Origin, uid),
                DocumentRef::Route(uid) => object_name(DocumentKind::Route, uid),
            };
            let reason = problem.error.to_string();
            if self.unusable.get(&name) != Some(&reason) {
                tracing::warn!(object = name, error = %reason, "a published document cannot be served");
            }
            unusable.insert(name, reason);
        }
        self.unusable = unusable;
        table
    }

    /// The report for the operator. Write it after the current table is served.
    pub(super) fn report(&self) -> ReplicaReport {
        let unusable = self.unusable.iter().filter(|(name, _)| !self.rejected.contains(name));
        let unusable = unusable.map(|(name, reason)| Rejection {
            name: name.clone(),
            resource_version: self
                .accepted
                .get(name)
                .map_or(0, |accepted| accepted.object.version)
                .to_string(),
            reason: clip(&format!("Unusable: {reason}")),
            accepted_serial: None,
        });
        let mut rejected: Vec<_> = self.rejected.report().chain(unusable).collect();
        let mut observed = BTreeMap::new();
        if rejected.len() <= MAX_REJECTIONS {
            let versions = self.observed.iter();
            observed.extend(
                versions.map(|(resource, version)| (resource.plural().to_owned(), version.to_string())),
            );
        } else {
            // A report without all rejections must not claim that the other objects were applied.
            rejected.truncate(MAX_REJECTIONS);
        }
        ReplicaReport {
            observed,
            table_hash: self.hash(),
            rejected,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            keys: self.keys.fingerprint().to_string(),
            ..ReplicaReport::default()
        }
    }

    /// Snapshot for a start without the API server.
    pub(super) fn to_snapshot(&self) -> ConfigSnapshot {
        let observed = self.observed.iter();
        ConfigSnapshot {
            observed: observed.map(|(resource, version)| (resource.plural().to_owned(), *version)).collect(),
            objects: self.accepted.values().map(|accepted| Arc::clone(&accepted.object)).collect(),
            serials: self.serials.all(),
        }
    }

    /// Serials that changed since the last call, for the store.
    pub(super) fn take_serial_changes(&mut self) -> Vec<PublishedSerialRow> {
        self.serials.take_changes()
    }

    /// Hash of all verified documents. Equal for replicas with the same documents.
    fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for (name, accepted) in &self.accepted {
            for part in [name.as_str(), hash_of(&accepted.object)] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn observe(&mut self, resource: WatchedResource, version: u64) {
        let observed = self.observed.entry(resource).or_default();
        *observed = (*observed).max(version);
    }

    fn put(&mut self, resource: WatchedResource, object: WatchedObject) -> MirrorEffect {
        self.observe(resource, object.version);
        if object.label == KEYS_LABEL_VALUE && resource == WatchedResource::Secrets {
            let mut data = object.data;
            return data
                .remove(portcullis_config_distribution::KEYS_SECRET_ENTRY)
                .map_or(MirrorEffect::Nothing, MirrorEffect::Keys);
        }
        if object.label == OWNER_LABEL_VALUE {
            return MirrorEffect::Nothing;
        }
        let Some(kind) =
            DocumentKind::from_label(&object.label).filter(|kind| kind.resource() == resource.plural())
        else {
            // Probably from a later version of the operator.
            tracing::debug!(
                object = object.name,
                label = object.label,
                "ignored an object of an unknown kind"
            );
            return MirrorEffect::Nothing;
        };
        if let Some(accepted) = self.accepted.get_mut(&object.name)
            && accepted.object.data == object.data
            && accepted.kind == kind
        {
            self.rejected.remove(&object.name);
            if accepted.object.version != object.version {
                accepted.object = Arc::new(object);
            }
            return MirrorEffect::Nothing;
        }
        match self.verify(kind, &object) {
            Ok(Some(Verified { identity, serial, piece })) => {
                self.rejected.remove(&object.name);
                self.serials.accept(&object.name, serial, hash_of(&object));
                self.assemble(piece);
                self.accepted
                    .insert(object.name.clone(), AcceptedObject { object: Arc::new(object), kind, identity });
                self.stale = true;
            }
            Ok(None) => {}
            Err(error) => self.rejected.add(resource, object, &error),
        }
        MirrorEffect::Nothing
    }

    fn verify(&self, kind: DocumentKind, object: &WatchedObject) -> Result<Option<Verified>, RejectError> {
        let verified = VerifiedDocument::from_object(&self.keys, kind, &object.name, &object.data)?;
        let Some((stamp, piece)) = verified else { return Ok(None) };
        let identity = match &piece {
            VerifiedDocument::Gateway(document) => {
                check_servable(document, self.listen)?;
                DocumentId::Gateway
            }
            VerifiedDocument::Origin(document) => DocumentId::Uid(document.uid.clone()),
            VerifiedDocument::Route(document) => DocumentId::Uid(document.uid.clone()),
            VerifiedDocument::Team(document) => DocumentId::Uid(document.uid.clone()),
            VerifiedDocument::Credential(key, _) => DocumentId::Credential(key.clone()),
        };
        let named = match &identity {
            DocumentId::Gateway => "",
            DocumentId::Uid(uid) => uid,
            DocumentId::Credential(key) => &key.0,
        };
        // The MAC binds the document to the object's name. This check binds the name to the document's
        // identity, so one object cannot replace the document of another.
        if object_name(kind, named) != object.name {
            return Err(RejectError::Misnamed);
        }
        let serial = stamp.map_or(0, |stamp| stamp.serial);
        self.serials.check(&object.name, serial, hash_of(object))?;
        Ok(Some(Verified { identity, serial, piece }))
    }

    fn assemble(&mut self, piece: VerifiedDocument) {
        match piece {
            VerifiedDocument::Gateway(document) => self.assembly.put_gateway(document),
            VerifiedDocument::Origin(document) => self.assembly.put_origin(document),
            VerifiedDocument::Route(document) => self.assembly.put_route(document),
            VerifiedDocument::Team(document) => self.assembly.put_team(&document),
            VerifiedDocument::Credential(key, value) => self.assembly.put_credential(key, value),
        }
    }

    fn remove(&mut self, name: &str) {
        self.stale |= self.serials.remove(name);
        let Some(accepted) = self.accepted.remove(name) else { return };
        self.stale = true;
        match (accepted.kind, &accepted.identity) {
            (DocumentKind::Gateway, _) => self.assembly.remove_gateway(),
            (DocumentKind::Origin, DocumentId::Uid(uid)) => self.assembly.remove_origin(uid),
            (DocumentKind::Route, DocumentId::Uid(uid)) => self.assembly.remove_route(uid),
            (DocumentKind::Team, DocumentId::Uid(uid)) => self.assembly.remove_team(uid),
            (_, DocumentId::Credential(key)) => self.assembly.remove_credential(key),
            _ => {}
        }
    }
}

/// Hash of the object's document. Valid only after verification.
fn hash_of(object: &WatchedObject) -> &str {
    object.data.get("hash").map_or("", String::as_str)
}
