//! Watched objects and watch events.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ObjectMeta;
use portcullis_config_distribution::OBJECT_KIND_LABEL;

/// The watched Kubernetes resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WatchedResource {
    /// Config documents.
    ConfigMaps,
    /// Credentials and key rings.
    Secrets,
}

impl WatchedResource {
    pub(super) const ALL: [Self; 2] = [Self::ConfigMaps, Self::Secrets];

    /// Plural name in the API and in reports.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::ConfigMaps => "configmaps",
            Self::Secrets => "secrets",
        }
    }
}

/// A published object, not verified yet.
#[derive(Clone, Default)]
pub(super) struct WatchedObject {
    pub(super) name: String,
    /// Resource version. Versions of one API server increase (guaranteed since Kubernetes 1.35). 0 if missing
    /// or not numeric.
    pub(super) version: u64,
    /// Value of the label with the object kind.
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
        // The operator writes only UTF-8 text. An object with other entries fails verification without them.
        let texts = secret.data.take().unwrap_or_default().into_iter();
        let data = texts.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?))).collect();
        Self::new(&secret.metadata, data)
    }
}

/// An event of a watch.
pub(super) enum WatchEvent {
    /// The complete current list.
    Listed(WatchedResource, Vec<WatchedObject>),
    /// An object was created or changed.
    Applied(WatchedResource, WatchedObject),
    /// An object was deleted. Its version is the version of the deletion.
    Deleted(WatchedResource, WatchedObject),
    /// The API server is unavailable, or denies the watch.
    Failed {
        /// False if the API server answered with an error other than 429 or 5xx.
        unavailable: bool,
    },
}
