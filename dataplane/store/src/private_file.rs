//! Makes the files of a SQLite database accessible only to the user of the process. They contain sealed tokens
//! and personal data.

use std::ffi::OsString;
use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Read and write for the owner only.
const MODE: u32 = 0o600;
/// The files beside a database: SQLite creates them with the mode of the database.
const SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Creates a database file if it is missing, and removes the access of other users from it and from the files
/// beside it.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => restrict(path)?,
        Err(error) => return Err(error),
    }
    for suffix in SUFFIXES {
        let mut name = OsString::from(path);
        name.push(suffix);
        match restrict(&PathBuf::from(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

fn restrict(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match std::fs::set_permissions(path, Permissions::from_mode(MODE)) {
        // A volume of Kubernetes with an `fsGroup` may belong to another user of the same group.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && mode & 0o007 == 0 => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn given_files_of_any_mode_when_created_or_found_then_only_their_owner_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new.sqlite");
        create(&new).unwrap();
        assert_eq!(mode(&new), 0o600);
        let old = folder.path().join("old.sqlite");
        let files =
            ["", "-wal", "-shm", "-journal"].map(|suffix| folder.path().join(format!("old.sqlite{suffix}")));
        for file in &files {
            std::fs::write(file, "content").unwrap();
            std::fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
        create(&old).unwrap();
        for file in &files {
            assert_eq!((mode(file), std::fs::read(file).unwrap().as_slice()), (0o600, b"content".as_slice()));
        }
    }
}
