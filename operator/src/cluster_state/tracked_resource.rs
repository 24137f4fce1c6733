//! Resources of the four kinds: decodes them for the compiler and tracks their status.

use kube::api::DynamicObject;
use kube::core::ObjectMeta;
use portcullis_compiler::{Diagnostic, ResourceId, Severity};
use portcullis_config_distribution::RestoredUids;
use portcullis_crds::kinds::origin_mcp::Catalog;
use portcullis_crds::values::Condition;
use portcullis_crds::{McpGateway, OriginMcp, Team, VirtualMcp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ClusterState, WatchSource, WatchedObject, matches_id, version};

/// Annotation of an McpGateway: a value that it did not have before requests a key rotation.
const ROTATE_KEYS_ANNOTATION: &str = "portcullis.dev/rotate-keys";

/// The state of a resource that status reporting needs.
#[derive(Clone, Debug)]
pub(crate) struct TrackedResource {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    /// Resource version at which `status` was read.
    pub(crate) version: u64,
    pub(crate) status: ResourceStatus,
    /// McpGateway only: value of the annotation that requests a key rotation.
    pub(crate) rotate_keys: Option<String>,
}

/// The status of any of the four kinds. Fields that a kind does not have are omitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceStatus {
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

impl TrackedResource {
    fn new(metadata: &ObjectMeta, status: Option<Value>) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            version: version(metadata),
            // A status that cannot be decoded counts as empty and is written again.
            status: status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default(),
            rotate_keys: metadata.annotations.as_ref().and_then(|it| it.get(ROTATE_KEYS_ANNOTATION)).cloned(),
        }
    }
}

impl ClusterState {
    /// The original UID of a restored resource, or `uid` itself.
    pub(crate) fn effective_uid<'a>(&'a self, uid: &'a str) -> &'a str {
        self.restored_uids.get(uid).map_or(uid, String::as_str)
    }

    /// Replaces the mapping of restored UIDs and applies it to all resources.
    pub(crate) fn set_restored_uids(&mut self, restored_uids: RestoredUids) {
        if self.restored_uids == restored_uids {
            return;
        }
        self.restored_uids = restored_uids;
        for (id, uid) in self.resources.uids_mut() {
            if let Some(subject) = self.tracked.get(&id) {
                *uid = Some(self.restored_uids.get(&subject.uid).unwrap_or(&subject.uid).clone());
            }
        }
        self.resources_changed = true;
    }

    /// Records the response to a status write, unless a newer version is known.
    pub(crate) fn record_written_status(
        &mut self,
        id: &ResourceId,
        metadata: &ObjectMeta,
        status: Option<Value>,
    ) {
        let subject = TrackedResource::new(metadata, status);
        if let Some(known) = self.tracked.get_mut(id)
            && known.uid == subject.uid
            && known.version < subject.version
        {
            known.version = subject.version;
            known.status = subject.status;
            known.rotate_keys = subject.rotate_keys;
        }
    }
}

impl WatchedObject for DynamicObject {
    fn apply(mut self, cluster_state: &mut ClusterState, id: ResourceId, source: WatchSource) {
        if self.metadata.deletion_timestamp.is_some() {
            // The resource is being deleted and waits for a finalizer. It is not served any more.
            return Self::remove(cluster_state, &id, Some(version(&self.metadata)), source);
        }
        let status = self.data.as_object_mut().and_then(|data| data.remove("status"));
        let subject = TrackedResource::new(&self.metadata, status);
        match cluster_state.tracked.get_mut(&id) {
            Some(known) if known.uid == subject.uid && known.version > subject.version => return,
            // Only status, labels or annotations changed, and the compiler does not read those.
            Some(known) if known.uid == subject.uid && known.generation == subject.generation => {
                *known = subject;
                return;
            }
            _ => {}
        }
        cluster_state.tracked.insert(id.clone(), subject);
        cluster_state.resources_changed = true;
        match decode(cluster_state, &id, self) {
            Ok(()) => {
                cluster_state.undecodable.remove(&id);
                cluster_state.resources.unreadable.remove(&id);
            }
            Err(diagnostic) => {
                forget(cluster_state, &id);
                cluster_state.resources.unreadable.insert(id.clone());
                cluster_state.undecodable.insert(id, *diagnostic);
            }
        }
    }

    fn remove(cluster_state: &mut ClusterState, id: &ResourceId, version: Option<u64>, _: WatchSource) {
        if cluster_state
            .tracked
            .get(id)
            .is_none_or(|known| version.is_some_and(|deleted| deleted < known.version))
        {
            return;
        }
        cluster_state.tracked.remove(id);
        cluster_state.undecodable.remove(id);
        cluster_state.resources.unreadable.remove(id);
        forget(cluster_state, id);
        cluster_state.resources_changed = true;
    }

    fn all(cluster_state: &ClusterState, kind: &str, _: WatchSource) -> Vec<ResourceId> {
        cluster_state.tracked.keys().filter(|id| id.kind == kind).cloned().collect()
    }
}

fn forget(cluster_state: &mut ClusterState, id: &ResourceId) {
    let resources = &mut cluster_state.resources;
    match id.kind.as_str() {
        "McpGateway" => resources.gateways.retain(|it| !matches_id(&it.metadata, id)),
        "OriginMcp" => {
            resources.catalogs.remove(id);
            resources.origins.retain(|it| !matches_id(&it.metadata, id));
        }
        "VirtualMcp" => resources.virtual_mcps.retain(|it| !matches_id(&it.metadata, id)),
        _ => resources.teams.retain(|it| !matches_id(&it.metadata, id)),
    }
}

/// Decodes one object and adds it to the compiler's input. A failure does not affect other resources.
fn decode(
    cluster_state: &mut ClusterState,
    id: &ResourceId,
    object: DynamicObject,
) -> Result<(), Box<Diagnostic>> {
    fn keep<R>(all: &mut Vec<R>, is_it: impl Fn(&R) -> bool, resource: R) {
        match all.iter().position(is_it).and_then(|at| all.get_mut(at)) {
            Some(known) => *known = resource,
            None => all.push(resource),
        }
    }
    let mut metadata = object.metadata;
    metadata.managed_fields = None;
    metadata.uid = metadata.uid.map(|uid| cluster_state.effective_uid(&uid).to_owned());
    let spec = object.data.get("spec").cloned().unwrap_or(Value::Null);
    let resources = &mut cluster_state.resources;
    match id.kind.as_str() {
        "McpGateway" => {
            let resource = McpGateway { metadata, spec: read(id, spec)?, status: None };
            keep(&mut resources.gateways, |it| matches_id(&it.metadata, id), resource);
        }
        "OriginMcp" => {
            let resource = OriginMcp { metadata, spec: read(id, spec)?, status: None };
            keep(&mut resources.origins, |it| matches_id(&it.metadata, id), resource);
        }
        "VirtualMcp" => {
            let resource = VirtualMcp { metadata, spec: read(id, spec)?, status: None };
            keep(&mut resources.virtual_mcps, |it| matches_id(&it.metadata, id), resource);
        }
        _ => {
            let resource = Team { metadata, spec: read(id, spec)?, status: None };
            keep(&mut resources.teams, |it| matches_id(&it.metadata, id), resource);
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(id: &ResourceId, spec: Value) -> Result<T, Box<Diagnostic>> {
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
        Box::new(Diagnostic {
            severity: Severity::Error,
            resource: Some(id.clone()),
            file: None,
            field: Some(field),
            reason: "Undecodable",
            message: format!(
                "This operator cannot decode the field: {}. Fix it, or install the CRDs of this operator's \
                 version.",
                error.into_inner()
            ),
        })
    })
}
