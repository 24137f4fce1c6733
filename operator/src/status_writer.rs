//! Writes statuses, and records an event where a condition fails or recovers.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use portcullis_compiler::ResourceId;
use portcullis_crds::values::{Condition, ConditionStatus};
use portcullis_crds::{GROUP, VERSION};
use serde_json::json;

use crate::cluster_state::ResourceStatus;
use crate::publish::{FIELD_MANAGER, WriteError};
use crate::watch::api_resource;

/// In bytes. The API server limits an event's note to 1 KiB.
const MAX_NOTE_LEN: usize = 1000;

/// Writes statuses and records events.
#[derive(Clone)]
pub(crate) struct StatusWriter {
    client: Client,
    recorder: Recorder,
}

impl StatusWriter {
    pub(crate) fn new(client: &Client, identity: &str) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(identity.to_owned()) };
        Self { client: client.clone(), recorder: Recorder::new(client.clone(), reporter) }
    }

    /// Applies a status and returns the updated object. `None` if the resource is gone or was recreated with
    /// another UID.
    pub(crate) async fn write_status(
        &self,
        id: &ResourceId,
        uid: &str,
        status: &ResourceStatus,
    ) -> Result<Option<DynamicObject>, WriteError> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &id.namespace, &api_resource(&id.kind));
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": id.kind,
            "metadata": {"name": id.name, "namespace": id.namespace, "uid": uid},
            "status": status,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch_status(&id.name, &parameters, &Patch::Apply(body)).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Records an event for a condition that changed. A failure is only logged.
    pub(crate) async fn record_event(&self, id: &ResourceId, uid: &str, condition: &Condition) {
        let well = condition.status == ConditionStatus::True;
        let reference = ObjectReference {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some(id.kind.clone()),
            namespace: Some(id.namespace.clone()),
            name: Some(id.name.clone()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: if well { EventType::Normal } else { EventType::Warning },
            reason: condition.reason.clone(),
            note: Some(truncate(&condition.message)),
            action: condition.type_.clone(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &reference).await {
            tracing::warn!(%error, resource = %id, reason = %condition.reason, "failed to record an event");
        }
    }
}

fn truncate(text: &str) -> String {
    let end =
        text.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_NOTE_LEN).last().unwrap_or_default();
    if text.len() <= MAX_NOTE_LEN {
        text.to_owned()
    } else {
        format!("{}…", text.get(..end).unwrap_or_default())
    }
}
