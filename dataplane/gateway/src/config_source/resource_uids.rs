//! Stable identities for the resources of a folder, stored in `ids.json` of the state folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcullis_compiler::{ResourceId, Resources};
use portcullis_keyring::replace_file;
use uuid::Uuid;

/// Prefix of the entries that say which virtual MCP has a slug. No kind begins with it.
const SLUG: &str = "slug ";

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

    /// Assigns an identity to every resource, and says who has which slug. [`commit`](Self::commit) stores the
    /// new ones.
    pub(crate) fn assign(&self, resources: &mut Resources) -> PendingUids {
        let mut known = BTreeMap::new();
        let slugs = self.uids.iter().filter_map(|(key, uid)| Some((key.strip_prefix(SLUG)?, uid)));
        resources.slugs.holders = slugs.map(|(slug, uid)| (slug.to_owned(), uid.clone())).collect();
        for (id, uid) in resources.uids_mut() {
            let name = id.to_string();
            let given = self.uids.get(&name).cloned().unwrap_or_else(|| Uuid::new_v4().to_string());
            *uid = Some(given.clone());
            known.insert(name, given);
        }
        for virtual_mcp in &resources.virtual_mcps {
            let metadata = &virtual_mcp.metadata;
            let slug = virtual_mcp.spec.slug.as_ref().or(metadata.name.as_ref());
            // An earlier version recorded no slugs: its virtual MCPs come before newcomers.
            let is_known = self.uids.contains_key(&ResourceId::of("VirtualMcp", metadata).to_string());
            if let Some((slug, uid)) = slug.zip(metadata.uid.as_ref()).filter(|_| is_known) {
                resources.slugs.holders.entry(slug.clone()).or_insert_with(|| uid.clone());
            }
            known.extend(slug.zip(metadata.uid.clone()).map(|(slug, uid)| (format!("{SLUG}{slug}"), uid)));
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
