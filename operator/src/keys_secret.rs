//! The Secret with the key rings of the installation: created if missing, and replaced only at the version
//! that was read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Api, Client};
use portcullis_config_distribution::{
    KEYS_LABEL_VALUE, KEYS_SECRET, KEYS_SECRET_ENTRY, MANAGED_BY, OBJECT_KIND_LABEL,
};
use serde_json::json;

use crate::cluster_state::ClusterEvent;
use crate::publish::{FIELD_MANAGER, WriteError};

/// Creates the Secret. If another operator created it first, returns that Secret.
///
/// The Secret has no owner, so it survives an uninstall, like the tokens and credentials that depend on its
/// keys.
pub(crate) async fn create(
    client: &Client,
    namespace: &str,
    stored: &[u8],
) -> Result<ClusterEvent, WriteError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let labels = [(OBJECT_KIND_LABEL, KEYS_LABEL_VALUE), ("app.kubernetes.io/managed-by", MANAGED_BY)];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(KEYS_SECRET.to_owned()),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        data: Some([(KEYS_SECRET_ENTRY.to_owned(), ByteString(stored.to_vec()))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let made = match api.create(&parameters, &secret).await {
        Err(kube::Error::Api(status)) if status.code == 409 => api.get(KEYS_SECRET).await?,
        made => made?,
    };
    Ok(ClusterEvent::Secret(Event::Apply(made)))
}

/// Replaces the key rings if the Secret is still at this version; after a concurrent write it fails with a
/// conflict.
pub(crate) async fn replace(
    client: &Client,
    namespace: &str,
    version: &str,
    stored: &[u8],
) -> Result<ClusterEvent, WriteError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let patch = json!({
        "metadata": {"resourceVersion": version},
        "data": {KEYS_SECRET_ENTRY: STANDARD.encode(stored)},
    });
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let secret = api.patch(KEYS_SECRET, &parameters, &Patch::Merge(patch)).await?;
    Ok(ClusterEvent::Secret(Event::Apply(secret)))
}
