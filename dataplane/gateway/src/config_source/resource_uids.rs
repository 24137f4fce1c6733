use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcullis_compiler::Resources;
use uuid::Uuid;

/// The identities of a folder's resources, as an API server would give them: made when a resource appears, forgotten when it is
/// gone, so that a name that is used again inherits nothing (DESIGN section 5).
pub(crate) struct UidRegistry {
    path: PathBuf,
    uids: BTreeMap<String, String>,
}

impl UidRegistry {
    /// Reads what earlier processes gave.
    pub(crate) fn open(state: &Path) -> anyhow::Result<Self> {
        let path = state.join("ids.json");
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "{} is damaged: restore it, or remove it together with the database beside it",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self { path, uids: known })
    }

    /// Gives every resource its identity. [`keep`](Self::keep) makes the new ones last.
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

    /// The resources have been accepted: their identities last, those of others end.
    pub(crate) fn commit(&mut self, given: PendingUids) -> anyhow::Result<()> {
        if self.uids == given.0 {
            return Ok(());
        }
        let aside = self.path.with_extension("json.new");
        let write = || {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(&serde_json::to_vec_pretty(&given.0)?)?;
            file.sync_all()?;
            fs::rename(&aside, &self.path)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))?;
        self.uids = given.0;
        Ok(())
    }
}

/// Identities of resources that have not been accepted yet.
pub(crate) struct PendingUids(BTreeMap<String, String>);
