//! The key rings of the installation: made once, where there are none, and never changed here.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Api, Client};
use portcullis_ambient::Random;
use portcullis_keys::Keys;
use portcullis_publication::{KEYS_DATA, KEYS_NAME, KEYS_VALUE, LABEL, MANAGED_BY};

use crate::publish::WriteError;
use crate::world::Change;

/// Makes the Secret with the rings, with these if they are known (somebody removed it while we ran), else with new ones. If
/// another operator was faster, its Secret comes back.
///
/// It has no owner: it outlives the installation, as the tokens do that it signed and the credentials that it seals.
pub(crate) async fn make(
    client: &Client,
    namespace: &str,
    known: Option<&[u8]>,
    random: &Random,
) -> Result<Change, WriteError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let text = match known {
        Some(text) => text.to_vec(),
        None => Keys::generate(random)?.to_vec(),
    };
    let labels = [(LABEL, KEYS_VALUE), ("app.kubernetes.io/managed-by", MANAGED_BY)];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(KEYS_NAME.to_owned()),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        data: Some([(KEYS_DATA.to_owned(), ByteString(text))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let parameters =
        PostParams { field_manager: Some(crate::publish::MANAGER.to_owned()), ..PostParams::default() };
    let made = match api.create(&parameters, &secret).await {
        Err(kube::Error::Api(status)) if status.code == 409 => api.get(KEYS_NAME).await?,
        made => made?,
    };
    Ok(Change::Secret(Event::Apply(made)))
}
