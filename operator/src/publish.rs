//! What is published: the difference between what is to be and what is there, and its writing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use portcullis_ambient::Random;
use portcullis_keys::Keys;
use portcullis_publication::{
    CredentialDoc, GENERATION_ANNOTATION, IDENTITIES_NAME, Identities, Kind, LABEL, MANAGED_BY, OWNER_NAME,
    OWNER_VALUE, PublishError, SOURCE_ANNOTATION, Sealed, publish, publish_identities,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::plan::{Content, Desired, Plan};
use crate::world::{Change, Publication, Published};

/// The one field manager of all that the operator applies.
pub(crate) const MANAGER: &str = "portcullis-operator";

/// What has to be done for the publication to be as planned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Objects to be applied, in this order: what others refer to comes first.
    pub(crate) write: Vec<(Kind, String)>,
    /// Objects to be removed, in this order.
    pub(crate) remove: Vec<(Kind, String)>,
}

/// Compares. What was changed by somebody else, or bears the MAC of a key that is no longer current, is written again.
pub(crate) fn difference(plan: &Plan, publication: &mut Publication, keys: &Keys) -> Difference {
    let mut difference = Difference::default();
    let Publication { objects, owner, .. } = publication;
    let owned = |object: &Published| owner.as_ref().is_none_or(|owner| object.owners.contains(owner));
    for (name, desired) in &plan.objects {
        if matches!(desired.content, Content::AsItIs) {
            continue;
        }
        let same = objects.get_mut(name).is_some_and(|there| {
            there.kind == desired.kind
                && owned(there)
                && there.is_intact(&keys.mac, name)
                && is_same(&desired.content, there, keys)
        });
        if !same {
            difference.write.push((desired.kind, name.clone()));
        }
    }
    for (name, there) in objects.iter() {
        if !plan.objects.contains_key(name) {
            difference.remove.push((there.kind, name.clone()));
        }
    }
    difference.write.sort();
    difference.remove.sort_by(|a, b| b.cmp(a));
    difference
}

fn is_same(content: &Content, there: &Published, keys: &Keys) -> bool {
    match content {
        Content::Document { hash, .. } => there.hash() == Some(hash),
        Content::AsItIs => true,
        Content::Credential(key, value) => {
            let document = there.data.get("document");
            let document = document.and_then(|text| serde_json::from_str::<CredentialDoc>(text).ok());
            document.filter(|document| document.key == *key).is_some_and(|document| {
                document.open(&keys.sealing).is_ok_and(|there| {
                    there.allowed_hosts == value.allowed_hosts
                        && there.value.expose_secret() == value.value.expose_secret()
                })
            })
        }
    }
}

/// Whether an object would still be believed if all but the current keys were gone.
pub(crate) fn bears_current_mac(keys: &Keys, data: &BTreeMap<String, String>) -> bool {
    data.get("mac").is_some_and(|mac| keys.mac.is_current(mac))
}

/// A write that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The API server refused it, or did not answer.
    #[error("the API server did not take it: {0}")]
    Kube(#[from] kube::Error),
    /// It could not be made.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// It could not be sealed.
    #[error(transparent)]
    Seal(#[from] portcullis_keys::SealError),
    /// The keys cannot be used, or new ones could not be made.
    #[error(transparent)]
    Keys(#[from] portcullis_keys::KeysError),
    /// No randomness for new keys.
    #[error(transparent)]
    NoRandomness(#[from] portcullis_ambient::NoRandomness),
    /// Whoever encrypts them did not.
    #[error(transparent)]
    Custody(Box<portcullis_custody::CustodyError>),
    /// No answer.
    #[error("the API server did not answer in time")]
    TimedOut,
}

/// Writes into the publication namespace.
#[derive(Clone)]
pub(crate) struct Publisher {
    config_maps: Api<ConfigMap>,
    secrets: Api<Secret>,
    random: Random,
}

impl Publisher {
    pub(crate) fn new(client: &Client, namespace: &str, random: Random) -> Self {
        let config_maps = Api::namespaced(client.clone(), namespace);
        Self { config_maps, secrets: Api::namespaced(client.clone(), namespace), random }
    }

    /// Applies one object; what the API server has now comes back as a change.
    pub(crate) async fn apply(
        &self,
        name: &str,
        desired: &Desired,
        keys: &Keys,
        owner: &str,
    ) -> Result<Option<Change>, WriteError> {
        let sealed = match &desired.content {
            Content::AsItIs => return Ok(None),
            Content::Document { text, .. } => {
                let document: &serde_json::value::RawValue =
                    serde_json::from_str(text).map_err(PublishError::from)?;
                publish(&keys.mac, desired.kind, name, &document)?
            }
            Content::Credential(key, value) => {
                let document = CredentialDoc::seal(&keys.sealing, &self.random, key, value)?;
                publish(&keys.mac, desired.kind, name, &document)?
            }
        };
        let parameters = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(object(name, desired, sealed, owner));
        Ok(Some(if desired.kind == Kind::Credential {
            let object = self.secrets.patch(name, &parameters, &patch).await?;
            Change::Secret(kube::runtime::watcher::Event::Apply(object))
        } else {
            let object = self.config_maps.patch(name, &parameters, &patch).await?;
            Change::ConfigMap(kube::runtime::watcher::Event::Apply(object))
        }))
    }

    /// Removes one object; that it is gone already is as good.
    pub(crate) async fn remove(&self, kind: Kind, name: &str) -> Result<(), WriteError> {
        let parameters = DeleteParams::default();
        let result = if kind == Kind::Credential {
            self.secrets.delete(name, &parameters).await.map(|_| ())
        } else {
            self.config_maps.delete(name, &parameters).await.map(|_| ())
        };
        match result {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            result => Ok(result?),
        }
    }

    /// Writes identities that are there already under the current key.
    pub(crate) async fn vouch_for_identities(
        &self,
        keys: &Keys,
        identities: &Identities,
    ) -> Result<Change, WriteError> {
        let data = publish_identities(&keys.mac, identities)?.data();
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": IDENTITIES_NAME, "labels": {"app.kubernetes.io/managed-by": MANAGED_BY}},
            "data": data,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        let object = self.config_maps.patch(IDENTITIES_NAME, &parameters, &Patch::Apply(object)).await?;
        Ok(Change::ConfigMap(kube::runtime::watcher::Event::Apply(object)))
    }

    /// Makes the ConfigMap that owns all others; the chart makes it where there is one.
    pub(crate) async fn make_owner(&self) -> Result<Change, WriteError> {
        let labels = json!({LABEL: OWNER_VALUE, "app.kubernetes.io/managed-by": MANAGED_BY});
        let owner = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": OWNER_NAME, "labels": labels},
        });
        let parameters = PatchParams::apply(MANAGER);
        let owner = self.config_maps.patch(OWNER_NAME, &parameters, &Patch::Apply(owner)).await?;
        Ok(Change::ConfigMap(kube::runtime::watcher::Event::Apply(owner)))
    }
}

fn object(name: &str, desired: &Desired, sealed: Sealed, owner: &str) -> Value {
    let mut annotations = BTreeMap::new();
    if let Some((id, generation)) = &desired.source {
        annotations.insert(SOURCE_ANNOTATION, id.to_string());
        annotations.insert(GENERATION_ANNOTATION, generation.to_string());
    }
    let mut data = sealed.data();
    if desired.kind == Kind::Credential {
        data.values_mut().for_each(|value| *value = STANDARD.encode(value.as_bytes()));
    }
    json!({
        "apiVersion": "v1",
        "kind": desired.kind.object_kind(),
        "metadata": {
            "name": name,
            "labels": {LABEL: desired.kind.label(), "app.kubernetes.io/managed-by": MANAGED_BY},
            "annotations": annotations,
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": OWNER_NAME, "uid": owner}],
        },
        "data": data,
    })
}
