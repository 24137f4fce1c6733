//! `keys.json` in the state folder of one machine.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use portcullis_clock::Random;
use zeroize::Zeroizing;

use crate::{KeyDocument, Keyring, KeyringError, replace_file};

/// The file that stores the key rings of one machine. Writes are atomic, so readers always see a whole file.
/// Writers [lock](Self::lock) it from reading to writing.
#[derive(Clone)]
pub struct KeyFile {
    path: PathBuf,
}

/// Prevents other processes from writing until it is dropped.
pub struct KeyFileLock {
    _lock: File,
}

impl KeyFile {
    /// The key file in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("keys.json") }
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read, or other users can read it.
    pub fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        let text = match fs::read(&self.path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io(error)),
        };
        let mode = fs::metadata(&self.path).map_err(|error| self.io(error))?.permissions().mode();
        if mode & 0o077 != 0 {
            let problem =
                format!("its mode is {:o}, so other users can read it; run chmod 600 on it", mode & 0o777);
            return Err(KeyringError::Unusable { path: self.path.clone(), problem });
        }
        Ok(Some(text))
    }

    /// Replaces the file (mode 0600) atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, text: &[u8]) -> Result<(), KeyringError> {
        replace_file(&self.path, text).map_err(|error| self.io(error))
    }

    /// Waits for other writers and then blocks them. This is a file lock between the processes of one
    /// machine.
    ///
    /// # Errors
    /// If the lock file cannot be created or locked.
    pub fn lock(&self) -> Result<KeyFileLock, KeyringError> {
        let path = self.path.with_extension("json.lock");
        let options = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = options.map_err(|source| KeyringError::Io { path: path.clone(), source })?;
        lock.lock().map_err(|source| KeyringError::Io { path, source })?;
        Ok(KeyFileLock { _lock: lock })
    }

    fn io(&self, source: std::io::Error) -> KeyringError {
        KeyringError::Io { path: self.path.clone(), source }
    }
}

impl Keyring {
    /// Reads `keys.json` in a folder, or creates it (mode 0600) if it does not exist.
    ///
    /// # Errors
    /// If the file is unreadable, is readable by other users, or contains a weak key.
    pub fn open_or_create(folder: &Path, random: &Random) -> Result<Self, KeyringError> {
        let folder = KeyFile::new(folder);
        let _held = folder.lock()?;
        if let Some(text) = folder.read()? {
            return Self::from_document(&KeyDocument::read(&text)?);
        }
        let document = KeyDocument::generate(random)?;
        let keys = Self::from_document(&document)?;
        folder.write(&document.text()?)?;
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn given_an_empty_folder_when_opened_twice_then_the_same_keys_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let random = Random::system();
        let first = Keyring::open_or_create(folder.path(), &random).unwrap();
        let second = Keyring::open_or_create(folder.path(), &random).unwrap();
        assert_eq!(first.signing.jwks(), second.signing.jwks());
    }

    /// Requirements: advisory.keys
    #[test]
    fn given_a_file_that_others_can_read_when_opened_then_it_is_refused_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        Keyring::open_or_create(folder.path(), &Random::system()).unwrap();
        let path = folder.path().join("keys.json");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Keyring::open_or_create(folder.path(), &Random::system()).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn given_a_file_from_before_there_were_macs_when_opened_then_it_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        Keyring::open_or_create(folder.path(), &Random::system()).unwrap();
        let path = folder.path().join("keys.json");
        let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        document.as_object_mut().unwrap().remove("mac");
        fs::write(&path, document.to_string()).unwrap();
        assert!(Keyring::open_or_create(folder.path(), &Random::system()).unwrap().mac.is_empty());
    }

    /// Requirements: advisory.keys
    #[test]
    fn given_an_example_key_when_opened_then_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Keyring::open_or_create(folder.path(), &Random::system()).unwrap();
        let zero = URL_SAFE_NO_PAD.encode([0; 32]);
        let path = folder.path().join("keys.json");
        let one = format!(r#"[{{"id":"AAAAAA","key":"{zero}"}}]"#);
        fs::write(&path, format!(r#"{{"signing":{one},"sealing":{one}}}"#)).unwrap();
        let error = Keyring::open_or_create(folder.path(), &Random::system()).err().unwrap().to_string();
        assert!(error.contains("looks like an example"), "{error}");
    }

    #[test]
    fn given_a_file_that_is_there_and_cannot_be_read_when_opened_then_no_other_keys_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::create_dir(&path).unwrap();
        let error = KeyFile::new(folder.path()).read().err().unwrap();
        assert!(matches!(&error, KeyringError::Io { path: named, .. } if *named == path), "{error}");
        assert!(Keyring::open_or_create(folder.path(), &Random::system()).is_err());
    }

    #[test]
    fn given_somebody_who_writes_then_another_waits() {
        let folder = tempfile::tempdir().unwrap();
        let held = KeyFile::new(folder.path()).lock().unwrap();
        let other = KeyFile::new(folder.path());
        let waiting = std::thread::spawn(move || other.lock().map(drop).is_ok());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(held);
        assert!(waiting.join().unwrap());
    }
}
