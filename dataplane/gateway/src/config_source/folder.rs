//! Reads and compiles a folder of manifests.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcullis_compiler::{Compiled, Diagnostic, compile, read};
use portcullis_config::Config;

use super::resource_uids::{PendingUids, UidRegistry};

/// A folder of manifests and the identities of its resources.
pub(crate) struct ManifestFolder {
    path: PathBuf,
    uid_registry: UidRegistry,
}

/// Errors and warnings of a folder that cannot be served. Displayed one per line.
#[derive(Debug)]
pub(crate) struct Diagnostics(pub(crate) Vec<Diagnostic>);

/// A compiled folder.
pub(crate) struct CompiledFolder {
    /// `None` without a valid McpGateway.
    pub(crate) config: Option<Config>,
    /// Errors and warnings, in the order of the files.
    pub(crate) diagnostics: Vec<Diagnostic>,
    uids: Option<PendingUids>,
}

impl ManifestFolder {
    /// `state` is the folder in which resource identities are stored.
    pub(crate) fn new(path: &Path, state: &Path) -> anyhow::Result<Self> {
        Ok(Self { path: path.to_owned(), uid_registry: UidRegistry::open(state)? })
    }

    /// Reads and compiles the folder. Any error rejects the whole folder, because the person who edits it
    /// sees the errors at once. Warnings are logged.
    pub(crate) fn load(&mut self) -> anyhow::Result<Result<Loaded, Diagnostics>> {
        let read = compile_folder(&self.path, Some(&self.uid_registry))?;
        match (read.config, read.uids) {
            (Some(config), Some(given)) if !read.diagnostics.iter().any(Diagnostic::is_error) => {
                for warning in &read.diagnostics {
                    tracing::warn!(%warning, "the folder of manifests has a warning");
                }
                Ok(Ok(Loaded { config, uids: given }))
            }
            _ => Ok(Err(Diagnostics(read.diagnostics))),
        }
    }

    /// Stores the identities of resources that are served now.
    pub(crate) fn commit_uids(&mut self, given: PendingUids) -> anyhow::Result<()> {
        self.uid_registry.commit(given)
    }
}

/// Config documents without errors, and the identities of their resources.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) uids: PendingUids,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, diagnostic) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

/// Reads and compiles a folder without storing identities.
pub(crate) fn read_folder(path: &Path) -> anyhow::Result<CompiledFolder> {
    compile_folder(path, None)
}

fn compile_folder(path: &Path, ids: Option<&UidRegistry>) -> anyhow::Result<CompiledFolder> {
    let texts = read_manifests(path)?;
    let (mut resources, mut diagnostics) =
        read(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let given = match ids {
        Some(ids) => Some(ids.assign(&mut resources)),
        None => {
            // Any identity is sufficient for validation.
            for (id, uid) in resources.uids_mut() {
                *uid = Some(id.to_string());
            }
            None
        }
    };
    let Compiled { config, diagnostics: more } = compile(&resources);
    diagnostics.extend(more);
    Ok(CompiledFolder { config, diagnostics, uids: given })
}

/// Reads the YAML and JSON files of a folder and its subfolders, sorted by name. Skips hidden files: drafts
/// of editors and the internals of mounted volumes.
fn read_manifests(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let cannot = |path: &Path| format!("failed to read {}", path.display());
    for entry in fs::read_dir(folder).with_context(|| cannot(folder))? {
        let path = entry.with_context(|| cannot(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found)?;
        } else if matches!(path.extension().and_then(|ending| ending.to_str()), Some("yaml" | "yml" | "json"))
        {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            match fs::read_to_string(&path) {
                Ok(text) => found.push((name, text)),
                // The file was deleted after it was listed; the watcher reports the change.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| cannot(&path)),
            }
        }
    }
    Ok(())
}
