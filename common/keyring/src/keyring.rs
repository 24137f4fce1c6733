//! The key rings in use, which can be replaced while the process runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use portcullis_clock::{NoRandomness, Random};
use zeroize::Zeroizing;

use crate::{Installation, KeyDocument, KeyDocumentError, MacRing, Ring, SealingRing, SigningRing};

/// All key rings in use. [`replace_with`](Self::replace_with) replaces them; every holder then uses the new
/// rings.
pub struct Keyring {
    /// Signs access tokens.
    pub signing: SigningRing,
    /// Seals session ids, cookies and stored credentials.
    pub sealing: SealingRing,
    /// Authenticates published objects. Empty if the keys are of a version that published nothing.
    pub mac: MacRing,
    fingerprint: ArcSwap<String>,
    installation: ArcSwapOption<Installation>,
    generation: AtomicU64,
}

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file exists but cannot be used.
    #[error("{path}: {problem}")]
    Unusable {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The document is invalid.
    #[error(
        "the keys are invalid: {0}. Restore keys.json from a backup: without it, issued tokens and stored credentials cannot be read. \
         If nothing was stored yet, `portcullis keys generate` creates new keys"
    )]
    Document(#[from] KeyDocumentError),
    /// No randomness to generate keys.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Keyring {
    /// Loads the rings of a document.
    ///
    /// # Errors
    /// If a key is invalid.
    pub fn from_document(document: &KeyDocument) -> Result<Self, KeyringError> {
        Ok(Self {
            signing: SigningRing::new(document.decode(Ring::Signing)?)?,
            sealing: SealingRing::new(document.decode(Ring::Sealing)?)?,
            mac: MacRing::new(document.decode(Ring::Mac)?),
            fingerprint: ArcSwap::from_pointee(document.fingerprint()),
            installation: ArcSwapOption::new(document.installation().cloned().map(Arc::new)),
            generation: AtomicU64::new(0),
        })
    }

    /// Loads the text of a `keys.json` that a cluster stores. It must have all rings: published objects are
    /// only trusted with a MAC.
    ///
    /// # Errors
    /// If the document is invalid, lacks a ring, or contains a weak key.
    pub fn from_json(text: &[u8]) -> Result<Self, KeyringError> {
        let keys = Self::from_document(&KeyDocument::read(text)?)?;
        if keys.mac.is_empty() {
            return Err(KeyDocumentError::MissingRing(Ring::Mac).into());
        }
        Ok(keys)
    }

    /// The text of a new `keys.json`, with one key in each ring.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate(random: &Random) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        KeyDocument::generate(random)?.text()
    }

    /// Replaces all rings. Operations in progress finish with the old ones.
    pub fn replace_with(&self, other: &Self) {
        self.signing.replace_with(&other.signing);
        self.sealing.replace_with(&other.sealing);
        self.mac.replace_with(&other.mac);
        self.fingerprint.store(other.fingerprint.load_full());
        self.installation.store(other.installation.load_full());
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Increases with each [`replace_with`](Self::replace_with). Earlier verification results may then be
    /// outdated.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// See [`KeyDocument::installation`].
    #[must_use]
    pub fn installation(&self) -> Option<Arc<Installation>> {
        self.installation.load_full()
    }

    /// See [`KeyDocument::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> Arc<String> {
        self.fingerprint.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Purpose;

    #[test]
    fn given_rings_in_use_when_they_turn_to_others_then_every_holder_works_with_those() {
        let random = Random::system();
        let make = || Keyring::from_json(&Keyring::generate(&random).unwrap()).unwrap();
        let (holder, other) = (Arc::new(make()), make());
        let (mine, before) = (Arc::clone(&holder), holder.fingerprint());
        let sealed = mine.sealing.seal(&random, Purpose::Browser, &["a"], b"x").unwrap();
        assert_eq!(mine.generation(), 0);
        holder.replace_with(&other);
        assert_eq!(mine.generation(), 1);
        assert_ne!(mine.fingerprint(), before);
        assert_eq!(mine.fingerprint(), other.fingerprint());
        assert_eq!(mine.signing.jwks(), other.signing.jwks());
        assert!(mine.sealing.open(Purpose::Browser, &["a"], &sealed).is_err());
        assert!(other.mac.verify(&["a"], &mine.mac.mac(&["a"]).unwrap()).is_ok());
    }

    #[test]
    fn given_published_keys_when_no_ring_of_theirs_vouches_then_they_are_refused() {
        let whole = Keyring::generate(&Random::system()).unwrap();
        let mut document: serde_json::Value = serde_json::from_slice(&whole).unwrap();
        assert!(Keyring::from_json(&whole).is_ok());
        document["mac"] = serde_json::json!([]);
        let refused = Keyring::from_json(document.to_string().as_bytes()).map(|_| ());
        assert!(refused.is_err_and(|error| error.to_string().contains("mac")));
    }
}
