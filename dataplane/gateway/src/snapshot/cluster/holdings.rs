use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_contract::SecretKey;
use portcullis_keys::Keys;
use portcullis_policy::{Assembly, Part, RouteTable};
use portcullis_publication::{KEYS_VALUE, Kind, OWNER_VALUE, Piece, Rejection, Report, object_name};
use sha2::{Digest as _, Sha256};

use super::object::{Change, Object, Resource};
use super::sealed::Publication;
use crate::snapshot::publish::may_serve;

/// More than this does not fit into a report beside everything else.
const MOST_REJECTIONS: usize = 300;
const LONGEST_REASON: usize = 240;

/// What this replica holds of the publication: the last version of each object that it believed, and the table that they make.
///
/// Pure: changes go in, tables and reports come out.
pub(super) struct Holdings {
    keys: Arc<Keys>,
    listen: SocketAddr,
    held: BTreeMap<String, Held>,
    /// What is not believed, kept for the day when its key is known.
    refused: BTreeMap<String, (Resource, Object, String)>,
    /// Documents that are believed and cannot be served as they are.
    unusable: BTreeMap<String, String>,
    observed: BTreeMap<Resource, u64>,
    listed: HashSet<Resource>,
    assembly: Assembly,
    stale: bool,
    refusals: u64,
}

struct Held {
    object: Arc<Object>,
    kind: Kind,
    identity: Identity,
}

/// What an object's document is known by where it is served from.
enum Identity {
    Gateway,
    Uid(String),
    Credential(SecretKey),
}

/// What a change needs of whoever took it in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing.
    Done,
    /// The key rings were published: this is their text.
    Keys(String),
}

impl Holdings {
    /// Holds nothing yet. `listen` decides whether a gateway may have a sign-in without passwords.
    pub(super) fn new(keys: Arc<Keys>, listen: SocketAddr) -> Self {
        Self {
            keys,
            listen,
            held: BTreeMap::new(),
            refused: BTreeMap::new(),
            unusable: BTreeMap::new(),
            observed: BTreeMap::new(),
            listed: HashSet::new(),
            assembly: Assembly::default(),
            stale: false,
            refusals: 0,
        }
    }

    /// Takes in what a watch tells.
    pub(super) fn take(&mut self, change: Change) -> Vec<Taken> {
        match change {
            Change::Listed(resource, objects) => {
                let there: HashSet<String> = objects.iter().map(|object| object.name.clone()).collect();
                let is_gone = |name: &str| !there.contains(name);
                let gone: Vec<String> = self
                    .held
                    .iter()
                    .filter(|(name, held)| held.kind.resource() == resource.plural() && is_gone(name))
                    .map(|(name, _)| name.clone())
                    .collect();
                for name in gone {
                    self.remove(&name);
                }
                self.refused.retain(|name, (of, ..)| *of != resource || !is_gone(name));
                // What is not listed any more was seen to be gone at some later version, which a list does not tell.
                self.observed.insert(resource, 0);
                self.listed.insert(resource);
                objects.into_iter().map(|object| self.put(resource, object)).collect()
            }
            Change::Put(resource, object) => vec![self.put(resource, object)],
            Change::Gone(resource, object) => {
                self.observe(resource, object.version);
                self.refused.remove(&object.name);
                self.remove(&object.name);
                Vec::new()
            }
            Change::Trouble { .. } => Vec::new(),
        }
    }

    /// Takes in what was believed before the process started. It is verified like any other.
    pub(super) fn restore(&mut self, publication: Publication) {
        for object in publication.objects {
            let resource = match Kind::of_label(&object.label) {
                Some(Kind::Credential) => Resource::Secrets,
                _ => Resource::ConfigMaps,
            };
            // What was listed already is newer, also in what it lacks.
            if !self.listed.contains(&resource) {
                self.put(resource, Arc::unwrap_or_clone(object));
            }
        }
        for resource in
            Resource::ALL.into_iter().filter(|resource| !self.listed.contains(resource)).collect::<Vec<_>>()
        {
            let version = publication.observed.get(resource.plural()).copied().unwrap_or_default();
            self.observed.insert(resource, version);
        }
    }

    /// Looks again at what is not believed, because the rings have turned: now it perhaps is. What is kept for a start without the
    /// API server is to be sealed under them, too.
    pub(super) fn look_again(&mut self) {
        self.stale = true;
        for (_, (resource, object, _)) in std::mem::take(&mut self.refused) {
            self.put(resource, object);
        }
    }

    /// Whether both watches have listed what there is.
    pub(super) fn is_complete(&self) -> bool {
        self.listed.len() == Resource::ALL.len()
    }

    /// Whether nothing is published that a table could be made of.
    pub(super) fn is_empty(&self) -> bool {
        let gateway = object_name(Kind::Gateway, "");
        !self.held.contains_key(&gateway) && !self.refused.contains_key(&gateway)
    }

    /// Objects that were refused since the start.
    pub(super) fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Whether the last table is no longer what is held.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// The table of what is held. `None` without a usable gateway.
    pub(super) fn table(&mut self, generation: u64) -> Option<RouteTable> {
        self.stale = false;
        let (table, problems) = self.assembly.table(generation);
        let mut unusable = BTreeMap::new();
        for problem in problems {
            let name = match &problem.part {
                Part::Gateway => object_name(Kind::Gateway, ""),
                Part::Origin(uid) => object_name(Kind::Origin, uid),
                Part::Route(uid) => object_name(Kind::Route, uid),
            };
            let reason = problem.error.to_string();
            if self.unusable.get(&name) != Some(&reason) {
                tracing::warn!(object = name, "a published document cannot be served: {reason}");
            }
            unusable.insert(name, reason);
        }
        self.unusable = unusable;
        table
    }

    /// What to tell the operator, once the table of what is held is served.
    pub(super) fn report(&self) -> Report {
        let refused = self.refused.iter().map(|(name, (_, object, reason))| Rejection {
            name: name.clone(),
            resource_version: object.version.to_string(),
            reason: clip(reason),
        });
        let unusable = self.unusable.iter().filter(|(name, _)| !self.refused.contains_key(*name));
        let unusable = unusable.map(|(name, reason)| Rejection {
            name: name.clone(),
            resource_version: self.held.get(name).map_or(0, |held| held.object.version).to_string(),
            reason: clip(&format!("Unusable: {reason}")),
        });
        let mut rejected: Vec<_> = refused.chain(unusable).collect();
        let mut observed = BTreeMap::new();
        if rejected.len() <= MOST_REJECTIONS {
            let versions = self.observed.iter();
            observed.extend(
                versions.map(|(resource, version)| (resource.plural().to_owned(), version.to_string())),
            );
        } else {
            // A report that leaves rejections out must not claim to have seen everything else.
            rejected.truncate(MOST_REJECTIONS);
        }
        Report {
            observed,
            table_hash: self.hash(),
            rejected,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            keys: self.keys.fingerprint().to_string(),
            ..Report::default()
        }
    }

    /// What to keep for a start without the API server.
    pub(super) fn publication(&self) -> Publication {
        let observed = self.observed.iter();
        Publication {
            observed: observed.map(|(resource, version)| (resource.plural().to_owned(), *version)).collect(),
            objects: self.held.values().map(|held| Arc::clone(&held.object)).collect(),
        }
    }

    /// Two replicas that hold the same have the same.
    fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for (name, held) in &self.held {
            for part in [name.as_str(), held.object.data.get("hash").map_or("", String::as_str)] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn observe(&mut self, resource: Resource, version: u64) {
        let observed = self.observed.entry(resource).or_default();
        *observed = (*observed).max(version);
    }

    fn put(&mut self, resource: Resource, object: Object) -> Taken {
        self.observe(resource, object.version);
        if object.label == KEYS_VALUE && resource == Resource::Secrets {
            let mut data = object.data;
            return data.remove(portcullis_publication::KEYS_DATA).map_or(Taken::Done, Taken::Keys);
        }
        if object.label == OWNER_VALUE {
            return Taken::Done;
        }
        let Some(kind) = Kind::of_label(&object.label).filter(|kind| kind.resource() == resource.plural())
        else {
            // Of a later version of the operator, or of nobody: in either case nothing to serve from.
            tracing::debug!(
                object = object.name,
                label = object.label,
                "an object of an unknown kind is left alone"
            );
            return Taken::Done;
        };
        if let Some(held) = self.held.get_mut(&object.name)
            && held.object.data == object.data
            && held.kind == kind
        {
            self.refused.remove(&object.name);
            if held.object.version != object.version {
                held.object = Arc::new(object);
            }
            return Taken::Done;
        }
        match self.read(kind, &object) {
            Ok(Some((identity, piece))) => {
                self.refused.remove(&object.name);
                self.assemble(piece);
                self.held.insert(object.name.clone(), Held { object: Arc::new(object), kind, identity });
                self.stale = true;
            }
            Ok(None) => {}
            Err(reason) => self.refuse(resource, object, reason),
        }
        Taken::Done
    }

    fn read(&self, kind: Kind, object: &Object) -> Result<Option<(Identity, Piece)>, String> {
        let piece = Piece::read(&self.keys, kind, &object.name, &object.data)
            .map_err(|refused| format!("{}: {refused}", refused.reason()))?;
        let Some(piece) = piece else { return Ok(None) };
        let identity = match &piece {
            Piece::Gateway(document) => {
                may_serve(document, self.listen).map_err(|error| format!("Unusable: {error}"))?;
                Identity::Gateway
            }
            Piece::Origin(document) => Identity::Uid(document.uid.clone()),
            Piece::Route(document) => Identity::Uid(document.uid.clone()),
            Piece::Team(document) => Identity::Uid(document.uid.clone()),
            Piece::Credential(key, _) => Identity::Credential(key.clone()),
        };
        let named = match &identity {
            Identity::Gateway => "",
            Identity::Uid(uid) => uid,
            Identity::Credential(key) => &key.0,
        };
        // The MAC binds the document to the name; should the name ever be another's, one object would speak for two.
        if object_name(kind, named) != object.name {
            return Err("Misnamed: the object's name is not that of its document".to_owned());
        }
        Ok(Some((identity, piece)))
    }

    fn assemble(&mut self, piece: Piece) {
        match piece {
            Piece::Gateway(document) => self.assembly.put_gateway(document),
            Piece::Origin(document) => self.assembly.put_origin(document),
            Piece::Route(document) => self.assembly.put_route(document),
            Piece::Team(document) => self.assembly.put_team(&document),
            Piece::Credential(key, value) => self.assembly.put_credential(key, value),
        }
    }

    fn refuse(&mut self, resource: Resource, object: Object, reason: String) {
        let known = self.refused.get(&object.name);
        if known.is_none_or(|(_, known, _)| known.version != object.version) {
            self.refusals += 1;
            tracing::warn!(
                object = object.name,
                version = object.version,
                "a published object is refused, and what was last believed of it stays: {reason}"
            );
        }
        self.refused.insert(object.name.clone(), (resource, object, reason));
    }

    fn remove(&mut self, name: &str) {
        let Some(held) = self.held.remove(name) else { return };
        self.stale = true;
        match (held.kind, &held.identity) {
            (Kind::Gateway, _) => self.assembly.remove_gateway(),
            (Kind::Origin, Identity::Uid(uid)) => self.assembly.remove_origin(uid),
            (Kind::Route, Identity::Uid(uid)) => self.assembly.remove_route(uid),
            (Kind::Team, Identity::Uid(uid)) => self.assembly.remove_team(uid),
            (_, Identity::Credential(key)) => self.assembly.remove_credential(key),
            _ => {}
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}
