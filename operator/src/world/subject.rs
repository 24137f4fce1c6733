use kube::api::DynamicObject;
use kube::core::ObjectMeta;
use portcullis_compiler::{Diagnosis, ResourceId, Severity};
use portcullis_crds::kinds::origin_mcp::Catalog;
use portcullis_crds::words::Condition;
use portcullis_crds::{McpGateway, OriginMcp, Team, VirtualMcp};
use portcullis_publication::Identities;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Known, Source, World, is, version};

/// Annotation of an McpGateway: any value that it did not have before asks for new keys.
const ROTATE_KEYS: &str = "portcullis.dev/rotate-keys";

/// A resource of one of the four kinds, as far as reporting on it goes.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    /// At which `status` was read.
    pub(crate) version: u64,
    pub(crate) status: StatusDoc,
    /// Of an McpGateway: the request for new keys.
    pub(crate) rotate_keys: Option<String>,
}

/// A status of any of the kinds: those that lack a field leave it out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StatusDoc {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog: Option<Catalog>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) conditions: Vec<Condition>,
}

impl Subject {
    fn new(metadata: &ObjectMeta, status: Option<Value>) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            version: version(metadata),
            // One that somebody else made unreadable is written anew.
            status: status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default(),
            rotate_keys: metadata.annotations.as_ref().and_then(|it| it.get(ROTATE_KEYS)).cloned(),
        }
    }
}

impl World {
    /// What a resource with this UID goes by: that UID, unless it was restored here from another cluster.
    pub(crate) fn identity<'a>(&'a self, uid: &'a str) -> &'a str {
        self.identities.get(uid).map_or(uid, String::as_str)
    }

    /// Resources go by these identities from now on.
    pub(crate) fn adopt(&mut self, identities: Identities) {
        if self.identities == identities {
            return;
        }
        self.identities = identities;
        for (id, uid) in self.resources.identities_mut() {
            if let Some(subject) = self.subjects.get(&id) {
                *uid = Some(self.identities.get(&subject.uid).unwrap_or(&subject.uid).clone());
            }
        }
        self.stale = true;
    }

    /// Takes in what a write of a status gave back: the later version counts.
    pub(crate) fn reported(&mut self, id: &ResourceId, metadata: &ObjectMeta, status: Option<Value>) {
        let subject = Subject::new(metadata, status);
        if let Some(known) = self.subjects.get_mut(id)
            && known.uid == subject.uid
            && known.version < subject.version
        {
            known.version = subject.version;
            known.status = subject.status;
            known.rotate_keys = subject.rotate_keys;
        }
    }
}

impl Known for DynamicObject {
    fn apply(mut self, world: &mut World, id: ResourceId, source: Source) {
        if self.metadata.deletion_timestamp.is_some() {
            // Somebody's finalizer keeps it; nobody is to be served by it any more.
            return Self::remove(world, &id, Some(version(&self.metadata)), source);
        }
        let status = self.data.as_object_mut().and_then(|data| data.remove("status"));
        let subject = Subject::new(&self.metadata, status);
        match world.subjects.get_mut(&id) {
            Some(known) if known.uid == subject.uid && known.version > subject.version => return,
            // Nothing but the status, or labels and annotations, of which nothing is compiled.
            Some(known) if known.uid == subject.uid && known.generation == subject.generation => {
                *known = subject;
                return;
            }
            _ => {}
        }
        world.subjects.insert(id.clone(), subject);
        world.stale = true;
        match decode(world, &id, self) {
            Ok(()) => {
                world.undecodable.remove(&id);
                world.resources.unreadable.remove(&id);
            }
            Err(diagnosis) => {
                forget(world, &id);
                world.resources.unreadable.insert(id.clone());
                world.undecodable.insert(id, *diagnosis);
            }
        }
    }

    fn remove(world: &mut World, id: &ResourceId, version: Option<u64>, _: Source) {
        if world.subjects.get(id).is_none_or(|known| version.is_some_and(|gone| gone < known.version)) {
            return;
        }
        world.subjects.remove(id);
        world.undecodable.remove(id);
        world.resources.unreadable.remove(id);
        forget(world, id);
        world.stale = true;
    }

    fn all(world: &World, kind: &str, _: Source) -> Vec<ResourceId> {
        world.subjects.keys().filter(|id| id.kind == kind).cloned().collect()
    }
}

fn forget(world: &mut World, id: &ResourceId) {
    let resources = &mut world.resources;
    match id.kind.as_str() {
        "McpGateway" => resources.gateways.retain(|it| !is(&it.metadata, id)),
        "OriginMcp" => {
            resources.catalogs.remove(id);
            resources.origins.retain(|it| !is(&it.metadata, id));
        }
        "VirtualMcp" => resources.virtual_mcps.retain(|it| !is(&it.metadata, id)),
        _ => resources.teams.retain(|it| !is(&it.metadata, id)),
    }
}

/// Decodes one object and keeps it. One that cannot be decoded concerns nobody but itself.
fn decode(world: &mut World, id: &ResourceId, object: DynamicObject) -> Result<(), Box<Diagnosis>> {
    fn keep<R>(all: &mut Vec<R>, is_it: impl Fn(&R) -> bool, resource: R) {
        match all.iter().position(is_it).and_then(|at| all.get_mut(at)) {
            Some(known) => *known = resource,
            None => all.push(resource),
        }
    }
    let mut metadata = object.metadata;
    metadata.managed_fields = None;
    metadata.uid = metadata.uid.map(|uid| world.identity(&uid).to_owned());
    let spec = object.data.get("spec").cloned().unwrap_or(Value::Null);
    let resources = &mut world.resources;
    match id.kind.as_str() {
        "McpGateway" => {
            let resource = McpGateway { metadata, spec: read(id, spec)?, status: None };
            keep(&mut resources.gateways, |it| is(&it.metadata, id), resource);
        }
        "OriginMcp" => {
            let resource = OriginMcp { metadata, spec: read(id, spec)?, status: None };
            keep(&mut resources.origins, |it| is(&it.metadata, id), resource);
        }
        "VirtualMcp" => {
            let resource = VirtualMcp { metadata, spec: read(id, spec)?, status: None };
            keep(&mut resources.virtual_mcps, |it| is(&it.metadata, id), resource);
        }
        _ => {
            let resource = Team { metadata, spec: read(id, spec)?, status: None };
            keep(&mut resources.teams, |it| is(&it.metadata, id), resource);
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(id: &ResourceId, spec: Value) -> Result<T, Box<Diagnosis>> {
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
        Box::new(Diagnosis {
            severity: Severity::Error,
            resource: Some(id.clone()),
            file: None,
            field: Some(field),
            reason: "Undecodable",
            message: format!(
                "this operator cannot read it: {}; correct it, or install the definitions that belong to this operator",
                error.into_inner()
            ),
        })
    })
}
