use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_ambient::{NoRandomness, Random};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{MacRing, SealingRing, SigningRing};

/// All rings.
pub struct Keys {
    /// Signs access tokens.
    pub signing: SigningRing,
    /// Seals session ids, cookies and stored credentials.
    pub sealing: SealingRing,
    /// Shows who wrote a published object. Empty where the keys are of a version that published nothing.
    pub mac: MacRing,
}

/// Why there are no keys to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file is there but cannot be used.
    #[error(
        "{path}: {problem}. Restore the file from a backup; without it, issued tokens and stored credentials cannot be read"
    )]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file cannot be read or made.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The document of a cluster's keys cannot be used.
    #[error(
        "keys.json: {0}. Restore it from a backup; without it, issued tokens and stored credentials cannot be read"
    )]
    Document(String),
    /// No randomness to make keys from.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    signing: Vec<Entry>,
    sealing: Vec<Entry>,
    #[serde(default)]
    mac: Vec<Entry>,
}

/// 256 bits, base64url; the id is public.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    key: Zeroizing<String>,
}

impl Keys {
    /// Reads `keys.json` in a folder, or makes it (mode 0600) where there is none.
    ///
    /// # Errors
    /// When the file is unreadable, is readable by others, or holds a key that is short or obviously not random.
    pub fn open_or_create(folder: &Path, random: &Random) -> Result<Self, KeysError> {
        let path = folder.join("keys.json");
        let io = |source| KeysError::Io { path: path.clone(), source };
        let unusable = |problem: String| KeysError::Unusable { path: path.clone(), problem };
        match fs::read(&path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                let mode = fs::metadata(&path).map_err(io)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(unusable(format!(
                        "its mode is {:o}, so others can read it: chmod 600 it",
                        mode & 0o777
                    )));
                }
                let document: Document = serde_json::from_slice(&bytes)
                    .map_err(|error| unusable(format!("not a key file: {error}")))?;
                Self::from_document(&document).map_err(unusable)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let document = Document::new(random)?;
                let text = document.text().map_err(unusable)?;
                // Written aside and renamed, so that a crash leaves either no file or a whole one.
                let aside = folder.join("keys.json.new");
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&aside)
                    .map_err(io)?;
                file.write_all(&text).and_then(|()| file.sync_all()).map_err(io)?;
                fs::rename(&aside, &path).map_err(io)?;
                Self::from_document(&document).map_err(unusable)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Reads the text of a `keys.json` that a cluster keeps. It has all rings: what is published there is worth nothing without
    /// a MAC.
    ///
    /// # Errors
    /// When it is no such document, lacks a ring, or holds a key that is short or obviously not random.
    pub fn from_json(text: &[u8]) -> Result<Self, KeysError> {
        let document: Document = serde_json::from_slice(text)
            .map_err(|error| KeysError::Document(format!("not a key file: {error}")))?;
        let keys = Self::from_document(&document).map_err(KeysError::Document)?;
        if keys.mac.is_empty() {
            return Err(KeysError::Document("the ring 'mac' is missing".to_owned()));
        }
        Ok(keys)
    }

    /// The text of a new `keys.json`, with one key in each ring.
    ///
    /// # Errors
    /// Without randomness.
    pub fn generate(random: &Random) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        Document::new(random)?.text().map_err(KeysError::Document)
    }

    fn from_document(document: &Document) -> Result<Self, String> {
        let decode = |entries: &[Entry]| entries.iter().map(Entry::decode).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            signing: SigningRing::new(decode(&document.signing)?)?,
            sealing: SealingRing::new(decode(&document.sealing)?)?,
            mac: MacRing::new(decode(&document.mac)?),
        })
    }
}

impl Document {
    fn new(random: &Random) -> Result<Self, NoRandomness> {
        let one = || Entry::new(random).map(|entry| vec![entry]);
        Ok(Self { signing: one()?, sealing: one()?, mac: one()? })
    }

    fn text(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        serde_json::to_vec_pretty(self).map(Zeroizing::new).map_err(|error| error.to_string())
    }
}

impl Entry {
    fn new(random: &Random) -> Result<Self, NoRandomness> {
        let key = Zeroizing::new(random.bytes::<32>()?);
        let id = random.bytes::<4>()?;
        Ok(Self { id: URL_SAFE_NO_PAD.encode(id), key: Zeroizing::new(URL_SAFE_NO_PAD.encode(*key)) })
    }

    fn decode(&self) -> Result<(String, Zeroizing<[u8; 32]>), String> {
        let bytes = Zeroizing::new(
            URL_SAFE_NO_PAD
                .decode(self.key.as_bytes())
                .map_err(|_| format!("key {} is not base64url", self.id))?,
        );
        let key: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| format!("key {} has {} bytes, not 32", self.id, bytes.len()))?;
        let distinct = key.iter().collect::<std::collections::BTreeSet<_>>().len();
        // 32 random bytes have fewer than 16 distinct values with a probability below 2^-60.
        if distinct < 16 {
            return Err(format!("key {} is not random; it looks like an example", self.id));
        }
        Ok((self.id.clone(), Zeroizing::new(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_empty_folder_when_opened_twice_then_the_same_keys_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let random = Random::system();
        let first = Keys::open_or_create(folder.path(), &random).unwrap();
        let second = Keys::open_or_create(folder.path(), &random).unwrap();
        assert_eq!(first.signing.jwks(), second.signing.jwks());
    }

    #[test]
    fn given_a_file_that_others_can_read_when_opened_then_it_is_refused_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        Keys::open_or_create(folder.path(), &Random::system()).unwrap();
        let path = folder.path().join("keys.json");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Keys::open_or_create(folder.path(), &Random::system()).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn given_a_new_document_when_read_then_all_rings_are_there_and_one_without_a_ring_is_refused() {
        let text = Keys::generate(&Random::system()).unwrap();
        let keys = Keys::from_json(&text).unwrap();
        let mac = keys.mac.mac(&["a"]).unwrap();
        assert!(Keys::from_json(&text).unwrap().mac.verify(&["a"], &mac).is_ok());
        let mut document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        document.as_object_mut().unwrap().remove("mac");
        let error = Keys::from_json(document.to_string().as_bytes()).err().unwrap().to_string();
        assert!(error.contains("'mac' is missing") && error.contains("backup"), "{error}");
    }

    #[test]
    fn given_a_file_from_before_there_were_macs_when_opened_then_it_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        Keys::open_or_create(folder.path(), &Random::system()).unwrap();
        let path = folder.path().join("keys.json");
        let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        document.as_object_mut().unwrap().remove("mac");
        fs::write(&path, document.to_string()).unwrap();
        assert!(Keys::open_or_create(folder.path(), &Random::system()).unwrap().mac.is_empty());
    }

    #[test]
    fn given_an_example_key_when_opened_then_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Keys::open_or_create(folder.path(), &Random::system()).unwrap();
        let zero = URL_SAFE_NO_PAD.encode([0; 32]);
        let path = folder.path().join("keys.json");
        fs::write(&path, format!(r#"{{"signing":[{{"id":"a","key":"{zero}"}}],"sealing":[]}}"#)).unwrap();
        let error = Keys::open_or_create(folder.path(), &Random::system()).err().unwrap().to_string();
        assert!(error.contains("looks like an example"), "{error}");
    }
}
