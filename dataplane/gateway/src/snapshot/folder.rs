use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcullis_compiler::{Compiled, Diagnosis, compile, read};
use portcullis_contract::Contract;

use super::ids::{Given, Ids};

/// A folder of manifests.
pub(crate) struct Folder {
    path: PathBuf,
    ids: Ids,
}

/// Everything that is wrong with a folder.
#[derive(Debug)]
pub(crate) struct Problems(pub(crate) Vec<Diagnosis>);

/// What a folder says, compiled.
pub(crate) struct Read {
    /// Absent where there is no usable gateway.
    pub(crate) contract: Option<Contract>,
    /// Errors and warnings, in the order of the files.
    pub(crate) diagnoses: Vec<Diagnosis>,
    given: Option<Given>,
}

impl Folder {
    /// A folder whose identities are kept in `state`.
    pub(crate) fn new(path: &Path, state: &Path) -> anyhow::Result<Self> {
        Ok(Self { path: path.to_owned(), ids: Ids::open(state)? })
    }

    /// The contract that the folder makes now. Any error refuses the whole: a person edits the folder and sees at once. Warnings
    /// are logged.
    pub(crate) fn load(&mut self) -> anyhow::Result<Result<Loaded, Problems>> {
        let read = compiled(&self.path, Some(&self.ids))?;
        match (read.contract, read.given) {
            (Some(contract), Some(given)) if !read.diagnoses.iter().any(Diagnosis::is_error) => {
                for warning in &read.diagnoses {
                    tracing::warn!("{warning}");
                }
                Ok(Ok(Loaded { contract, given }))
            }
            _ => Ok(Err(Problems(read.diagnoses))),
        }
    }

    /// The contract that was loaded is served.
    pub(crate) fn accept(&mut self, given: Given) -> anyhow::Result<()> {
        self.ids.keep(given)
    }
}

/// A contract that can be served, and the identities that it brings.
pub(crate) struct Loaded {
    pub(crate) contract: Contract,
    pub(crate) given: Given,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, diagnosis) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnosis}")?;
        }
        Ok(())
    }
}

/// Reads and compiles a folder without keeping anything.
pub(crate) fn read_folder(path: &Path) -> anyhow::Result<Read> {
    compiled(path, None)
}

fn compiled(path: &Path, ids: Option<&Ids>) -> anyhow::Result<Read> {
    let texts = texts(path)?;
    let (mut resources, mut diagnoses) =
        read(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let given = match ids {
        Some(ids) => Some(ids.give(&mut resources)),
        None => {
            // Any identity will do to see whether the folder is sound.
            for (id, uid) in resources.identities_mut() {
                *uid = Some(id.to_string());
            }
            None
        }
    };
    let Compiled { contract, diagnoses: more } = compile(&resources);
    diagnoses.extend(more);
    Ok(Read { contract, diagnoses, given })
}

/// The YAML and JSON files of a folder and its subfolders, by name. Hidden files are drafts of editors and parts of mounts.
fn texts(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
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
