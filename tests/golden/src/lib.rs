//! Golden files: the exact form of everything that leaves a process, in `tests/golden/files`.
//!
//! Other versions, other replicas, databases, clients and dashboards read these bytes. A change here is a change of an interface: it needs
//! a reason of its own, a note in CHANGELOG.md and a reader that still accepts the old form.
//!
//! `UPDATE_GOLDEN=1 cargo test` writes the files anew.

use std::path::Path;

/// Compares a text with a golden file, given by its path below `tests/golden/files`.
///
/// # Panics
/// When they differ, or the file is missing or cannot be written.
#[allow(clippy::panic, reason = "it is an assertion")]
pub fn assert_golden(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("files").join(file);
    let actual = format!("{}\n", actual.trim_end_matches('\n'));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, actual));
        return written.unwrap_or_else(|error| panic!("failed to write {}: {error}", path.display()));
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
    assert!(expected == actual, "{} has changed. Expected:\n{expected}\nActual:\n{actual}", path.display());
}
