//! The Secret with the key rings of the installation: made where there is none, and replaced by nobody but who has read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Api, Client};
use portcullis_publication::{KEYS_DATA, KEYS_NAME, KEYS_VALUE, LABEL, MANAGED_BY};
use serde_json::json;

use crate::publish::{MANAGER, WriteError};
use crate::world::Change;

/// Makes it. If another operator was faster, its Secret comes back.
///
/// It has no owner: it outlives the installation, as the tokens do that it signed and the credentials that it seals.
pub(crate) async fn make(client: &Client, namespace: &str, stored: &[u8]) -> Result<Change, WriteError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let labels = [(LABEL, KEYS_VALUE), ("app.kubernetes.io/managed-by", MANAGED_BY)];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(KEYS_NAME.to_owned()),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        data: Some([(KEYS_DATA.to_owned(), ByteString(stored.to_vec()))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let made = match api.create(&parameters, &secret).await {
        Err(kube::Error::Api(status)) if status.code == 409 => api.get(KEYS_NAME).await?,
        made => made?,
    };
    Ok(Change::Secret(Event::Apply(made)))
}

/// Puts other rings into it, as long as it is still at this version: whoever was faster wins.
pub(crate) async fn replace(
    client: &Client,
    namespace: &str,
    version: &str,
    stored: &[u8],
) -> Result<Change, WriteError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let patch = json!({
        "metadata": {"resourceVersion": version},
        "data": {KEYS_DATA: STANDARD.encode(stored)},
    });
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let secret = api.patch(KEYS_NAME, &parameters, &Patch::Merge(patch)).await?;
    Ok(Change::Secret(Event::Apply(secret)))
}
