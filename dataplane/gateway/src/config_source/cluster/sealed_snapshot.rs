//! The last valid published config on disk, for a replica that starts while the API server is unavailable.
//! Its objects keep their MACs and are verified like all others; the seal keeps their content confidential.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::Random;
use portcullis_keyring::{Keyring, Purpose, SealError, replace_file};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::accepted_serials::AcceptedSerial;
use super::object::WatchedObject;

/// Changes within this time are written together: thousands of objects are megabytes.
const DEBOUNCE: Duration = Duration::from_secs(1);

/// The verified objects of the published config.
#[derive(Clone, Default)]
pub(super) struct ConfigSnapshot {
    /// Last observed resource version of each watch, by resource plural.
    pub(super) observed: BTreeMap<String, u64>,
    /// Shared with the mirror.
    pub(super) objects: Vec<Arc<WatchedObject>>,
    /// Accepted serials by object name, removals included.
    pub(super) serials: BTreeMap<String, AcceptedSerial>,
}

#[derive(Serialize)]
struct SnapshotRef<'a> {
    observed: &'a BTreeMap<String, u64>,
    objects: Vec<SnapshotEntry<&'a str, &'a BTreeMap<String, String>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    serials: &'a BTreeMap<String, AcceptedSerial>,
}

#[derive(Deserialize)]
struct SnapshotContents {
    observed: BTreeMap<String, u64>,
    objects: Vec<SnapshotEntry<String, BTreeMap<String, String>>>,
    /// Absent in snapshots of versions without serials.
    #[serde(default)]
    serials: BTreeMap<String, AcceptedSerial>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotEntry<Text, Data> {
    name: Text,
    version: u64,
    label: Text,
    data: Data,
}

/// The snapshot file.
#[derive(Clone)]
pub(super) struct SealedSnapshot {
    path: PathBuf,
    keys: Arc<Keyring>,
    random: Random,
    /// Part of the associated data: a file of another installation cannot be opened.
    namespace: String,
}

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// Its key was deleted, it belongs to another installation, or it is damaged.
    #[error("{0} cannot be opened with this installation's keys; it will be replaced by a new snapshot")]
    Unopenable(PathBuf),
    #[error("failed to seal the snapshot: {0}")]
    Seal(#[source] SealError),
    #[error("failed to seal the snapshot: {0}")]
    Serialize(#[source] serde_json::Error),
}

impl SealedSnapshot {
    pub(super) fn new(path: PathBuf, keys: Arc<Keyring>, random: Random, namespace: &str) -> Self {
        Self { path, keys, random, namespace: namespace.to_owned() }
    }

    /// Reads the last snapshot.
    pub(super) fn read(&self) -> Result<ConfigSnapshot, SnapshotError> {
        let io = |source| SnapshotError::Io { path: self.path.clone(), source };
        let unopenable = || SnapshotError::Unopenable(self.path.clone());
        let envelope = std::fs::read(&self.path).map_err(io)?;
        let text = self
            .keys
            .sealing
            .open(Purpose::PublishedConfig, &self.associated_data(), &envelope)
            .map_err(|_| unopenable())?;
        let read: SnapshotContents = serde_json::from_slice(&text).map_err(|_| unopenable())?;
        let objects = read.objects.into_iter().map(|SnapshotEntry { name, version, label, data }| {
            Arc::new(WatchedObject { name, version, label, data })
        });
        Ok(ConfigSnapshot { observed: read.observed, objects: objects.collect(), serials: read.serials })
    }

    pub(super) fn write(&self, publication: &ConfigSnapshot) -> Result<(), SnapshotError> {
        let objects = publication.objects.iter().map(|object| SnapshotEntry {
            name: object.name.as_str(),
            version: object.version,
            label: object.label.as_str(),
            data: &object.data,
        });
        let written = SnapshotRef {
            observed: &publication.observed,
            objects: objects.collect(),
            serials: &publication.serials,
        };
        let text = serde_json::to_vec(&written).map_err(SnapshotError::Serialize)?;
        let envelope = self
            .keys
            .sealing
            .seal(&self.random, Purpose::PublishedConfig, &self.associated_data(), &text)
            .map_err(SnapshotError::Seal)?;
        replace_file(&self.path, &envelope)
            .map_err(|source| SnapshotError::Io { path: self.path.clone(), source })
    }

    fn associated_data(&self) -> [&str; 2] {
        ["snapshot", &self.namespace]
    }

    /// Writes each received snapshot on a blocking thread, until the sender is dropped.
    pub(super) async fn follow(self, mut shown: watch::Receiver<ConfigSnapshot>) {
        while shown.changed().await.is_ok() {
            tokio::time::sleep(DEBOUNCE).await;
            let publication = shown.borrow_and_update().clone();
            let file = self.clone();
            match tokio::task::spawn_blocking(move || file.write(&publication)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(
                    %error,
                    "failed to write the sealed snapshot; a start without the API server would serve an older one"
                ),
                Err(error) => tracing::error!(%error, "the task that writes the sealed snapshot panicked"),
            }
        }
    }
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &std::path::Path, keys: &Arc<Keyring>, namespace: &str) -> SealedSnapshot {
        SealedSnapshot::new(folder.join("snapshot.sealed"), Arc::clone(keys), Random::system(), namespace)
    }

    fn keys() -> Arc<Keyring> {
        Arc::new(Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap())
    }

    #[test]
    fn given_a_publication_when_written_then_it_reads_the_same_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys();
        let object = WatchedObject {
            name: "route-a".to_owned(),
            version: 7,
            label: "route".to_owned(),
            data: [("document".to_owned(), "a secret plan".to_owned())].into(),
        };
        let removed = AcceptedSerial { serial: 5, hash: "hash".to_owned(), removed: true };
        let publication = ConfigSnapshot {
            observed: [("configmaps".to_owned(), 9)].into(),
            objects: vec![Arc::new(object.clone())],
            serials: [("route-b".to_owned(), removed)].into(),
        };
        file(folder.path(), &keys, "p").write(&publication).unwrap();
        let read = file(folder.path(), &keys, "p").read().unwrap();
        assert_eq!((&read.observed, &read.serials), (&publication.observed, &publication.serials));
        assert_eq!(
            (&read.objects[0].name, read.objects[0].version, &read.objects[0].data),
            (&object.name, 7, &object.data)
        );
        let bytes = std::fs::read(folder.path().join("snapshot.sealed")).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn given_a_file_of_other_keys_or_another_installation_when_read_then_it_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let ours = keys();
        file(folder.path(), &ours, "p").write(&ConfigSnapshot::default()).unwrap();
        assert!(matches!(file(folder.path(), &keys(), "p").read().err(), Some(SnapshotError::Unopenable(_))));
        assert!(matches!(file(folder.path(), &ours, "q").read().err(), Some(SnapshotError::Unopenable(_))));
        std::fs::write(folder.path().join("snapshot.sealed"), b"short").unwrap();
        assert!(matches!(file(folder.path(), &ours, "p").read().err(), Some(SnapshotError::Unopenable(_))));
        std::fs::remove_file(folder.path().join("snapshot.sealed")).unwrap();
        assert!(matches!(file(folder.path(), &ours, "p").read().err(), Some(SnapshotError::Io { .. })));
    }
}
