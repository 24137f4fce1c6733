//! Stable identities for the resources of a folder, stored in `ids.json` of the state folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcullis_compiler::Resources;
use portcullis_keyring::replace_file;
use uuid::Uuid;

/// Identities of a folder's resources, like the UIDs that an API server assigns. An identity is created when
/// a resource appears and deleted with it: a resource that reuses a name inherits nothing.
pub(crate) struct UidRegistry {
    path: PathBuf,
    uids: BTreeMap<String, String>,
}

impl UidRegistry {
    /// Reads the identities that earlier processes assigned.
    pub(crate) fn open(state: &Path) -> anyhow::Result<Self> {
        let path = state.join("ids.json");
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "{} is damaged; restore it from a backup, or delete it together with the database in the same folder",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
        };
        Ok(Self { path, uids: known })
    }

    /// Assigns an identity to every resource. [`commit`](Self::commit) stores the new ones.
    pub(crate) fn assign(&self, resources: &mut Resources) -> PendingUids {
        let mut known = BTreeMap::new();
        for (id, uid) in resources.uids_mut() {
            let name = id.to_string();
            let given = self.uids.get(&name).cloned().unwrap_or_else(|| Uuid::new_v4().to_string());
            *uid = Some(given.clone());
            known.insert(name, given);
        }
        PendingUids(known)
    }

    /// Stores the identities of accepted resources and deletes all others.
    pub(crate) fn commit(&mut self, given: PendingUids) -> anyhow::Result<()> {
        if self.uids == given.0 {
            return Ok(());
        }
        serde_json::to_vec_pretty(&given.0)
            .map_err(std::io::Error::from)
            .and_then(|text| replace_file(&self.path, &text))
            .with_context(|| format!("failed to write {}", self.path.display()))?;
        self.uids = given.0;
        Ok(())
    }
}

/// Identities of resources that are not accepted yet.
pub(crate) struct PendingUids(BTreeMap<String, String>);
