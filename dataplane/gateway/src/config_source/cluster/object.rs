use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ObjectMeta;
use portcullis_config_distribution::OBJECT_KIND_LABEL;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WatchedResource {
    /// The documents.
    ConfigMaps,
    /// The credentials and the keys.
    Secrets,
}

impl WatchedResource {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::ConfigMaps, Self::Secrets];

    /// The plural that the API and a report know it by.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::ConfigMaps => "configmaps",
            Self::Secrets => "secrets",
        }
    }
}

/// A published object as it came.
#[derive(Clone, Default)]
pub(super) struct WatchedObject {
    pub(super) name: String,
    /// Versions of one API server grow (Kubernetes 1.35 makes it a promise). 0 where there is none.
    pub(super) version: u64,
    /// The value of the publication label.
    pub(super) label: String,
    pub(super) data: BTreeMap<String, String>,
}

impl WatchedObject {
    fn new(meta: &ObjectMeta, data: BTreeMap<String, String>) -> Self {
        let label = meta
            .labels
            .as_ref()
            .and_then(|labels| labels.get(OBJECT_KIND_LABEL))
            .cloned()
            .unwrap_or_default();
        let version = meta.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
        Self { name: meta.name.clone().unwrap_or_default(), version, label, data }
    }
}

impl From<ConfigMap> for WatchedObject {
    fn from(mut map: ConfigMap) -> Self {
        let data = map.data.take().unwrap_or_default();
        Self::new(&map.metadata, data)
    }
}

impl From<Secret> for WatchedObject {
    fn from(mut secret: Secret) -> Self {
        // What is no text was not written by the operator; without it the object does not verify.
        let texts = secret.data.take().unwrap_or_default().into_iter();
        let data = texts.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?))).collect();
        Self::new(&secret.metadata, data)
    }
}

/// What a watch tells.
pub(super) enum WatchEvent {
    /// All that there is, read afresh.
    Listed(WatchedResource, Vec<WatchedObject>),
    /// An object was made or changed.
    Applied(WatchedResource, WatchedObject),
    /// An object is gone. Its version is that of its going.
    Deleted(WatchedResource, WatchedObject),
    /// The API server does not answer, or does not let us watch.
    Failed {
        /// Whether nobody answered, or nobody who could.
        unavailable: bool,
    },
}
