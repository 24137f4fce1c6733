use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcullis_compiler::{Compiled, Diagnostic, compile, read};
use portcullis_config::Config;

use super::resource_uids::{PendingUids, UidRegistry};

/// A folder of manifests.
pub(crate) struct ManifestFolder {
    path: PathBuf,
    uid_registry: UidRegistry,
}

/// Everything that is wrong with a folder.
#[derive(Debug)]
pub(crate) struct Diagnostics(pub(crate) Vec<Diagnostic>);

/// What a folder says, compiled.
pub(crate) struct CompiledFolder {
    /// Absent where there is no usable gateway.
    pub(crate) config: Option<Config>,
    /// Errors and warnings, in the order of the files.
    pub(crate) diagnostics: Vec<Diagnostic>,
    uids: Option<PendingUids>,
}

impl ManifestFolder {
    /// A folder whose identities are kept in `state`.
    pub(crate) fn new(path: &Path, state: &Path) -> anyhow::Result<Self> {
        Ok(Self { path: path.to_owned(), uid_registry: UidRegistry::open(state)? })
    }

    /// The contract that the folder makes now. Any error refuses the whole: a person edits the folder and sees at once. Warnings
    /// are logged.
    pub(crate) fn load(&mut self) -> anyhow::Result<Result<Loaded, Diagnostics>> {
        let read = compile_folder(&self.path, Some(&self.uid_registry))?;
        match (read.config, read.uids) {
            (Some(config), Some(given)) if !read.diagnostics.iter().any(Diagnostic::is_error) => {
                for warning in &read.diagnostics {
                    tracing::warn!("{warning}");
                }
                Ok(Ok(Loaded { config, uids: given }))
            }
            _ => Ok(Err(Diagnostics(read.diagnostics))),
        }
    }

    /// The contract that was loaded is served.
    pub(crate) fn commit_uids(&mut self, given: PendingUids) -> anyhow::Result<()> {
        self.uid_registry.commit(given)
    }
}

/// A contract that can be served, and the identities that it brings.
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

/// Reads and compiles a folder without keeping anything.
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
            // Any identity will do to see whether the folder is sound.
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

/// The YAML and JSON files of a folder and its subfolders, by name. Hidden files are drafts of editors and parts of mounts.
fn read_manifests(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let cannot = |path: &Path| format!("cannot read {}", path.display());
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
                // It was there a moment ago; the watch will tell what came in its place.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| cannot(&path)),
            }
        }
    }
    Ok(())
}
