//! `keys.json`: the format in which key rings are stored.

use portcullis_clock::{NoRandomness, Random};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::key_entry::{DecodedKey, KeyEntry};
use crate::{Installation, KeyDocumentError, KeyringError};

/// The key rings as they are stored, with the state of a rotation. The keys are only readable within this
/// crate, and in its [`text`](Self::text).
///
/// The first key of a ring is the current one. Keys after it are announced (distributed before they are used)
/// or replaced (kept to read older data).
///
/// Members that a newer version wrote are ignored and kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyDocument {
    pub(crate) signing: Vec<KeyEntry>,
    pub(crate) sealing: Vec<KeyEntry>,
    #[serde(default)]
    pub(crate) mac: Vec<KeyEntry>,
    /// The last rotation request that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) honoured: Option<String>,
    /// Absent in documents of versions without serials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) installation: Option<Installation>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub(crate) other: serde_json::Map<String, serde_json::Value>,
}

/// Selects one of the key rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// Signs access tokens.
    Signing,
    /// Seals values that must come back secret and unchanged.
    Sealing,
    /// Authenticates published objects.
    Mac,
}

impl Ring {
    pub(crate) const ALL: [Self; 3] = [Self::Signing, Self::Sealing, Self::Mac];

    /// Name of the ring in `keys.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Sealing => "sealing",
            Self::Mac => "mac",
        }
    }
}

impl KeyDocument {
    /// Generates new keys, one in each ring.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate(random: &Random) -> Result<Self, NoRandomness> {
        let one = || KeyEntry::new(random).map(|entry| vec![entry]);
        Ok(Self {
            signing: one()?,
            sealing: one()?,
            mac: one()?,
            honoured: None,
            installation: Some(Installation::new(random)?),
            other: serde_json::Map::new(),
        })
    }

    /// Parses the text of a `keys.json`, and checks every key.
    ///
    /// # Errors
    /// If the document is invalid, or contains a key that is too short, not random, published, or duplicated.
    pub fn read(text: &[u8]) -> Result<Self, KeyringError> {
        let document: Self = serde_json::from_slice(text).map_err(KeyDocumentError::Json)?;
        document.check()?;
        Ok(document)
    }

    /// Text of the `keys.json`.
    ///
    /// # Errors
    /// Never for a document that was parsed or generated here.
    pub fn text(&self) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        Ok(serde_json::to_vec_pretty(self).map(Zeroizing::new).map_err(KeyDocumentError::Unwritable)?)
    }

    /// Digest of the keys' ids and their current roles. It contains no key, and ignores when keys are
    /// dropped.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for ring in Ring::ALL {
            digest.update(ring.name());
            for entry in self.ring(ring) {
                digest.update(if entry.announced_at.is_some() { b"+" } else { b"." });
                digest.update((entry.id.len() as u64).to_be_bytes());
                digest.update(&entry.id);
            }
        }
        digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The installation that the keys belong to, unless a version without serials wrote the document.
    #[must_use]
    pub fn installation(&self) -> Option<&Installation> {
        self.installation.as_ref()
    }

    /// Adds an installation id to a document of a version without serials. Documents without a serial may
    /// still be published. Returns whether the document changed.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn add_installation(&mut self, random: &Random) -> Result<bool, NoRandomness> {
        if self.installation.is_some() {
            return Ok(false);
        }
        self.installation = Some(Installation { serials_required: false, ..Installation::new(random)? });
        Ok(true)
    }

    /// Requires serials from now on. Returns whether the document changed.
    pub fn require_serials(&mut self) -> bool {
        match &mut self.installation {
            Some(installation) if !installation.serials_required => {
                installation.serials_required = true;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn ring(&self, ring: Ring) -> &Vec<KeyEntry> {
        match ring {
            Ring::Signing => &self.signing,
            Ring::Sealing => &self.sealing,
            Ring::Mac => &self.mac,
        }
    }

    pub(crate) fn ring_mut(&mut self, ring: Ring) -> &mut Vec<KeyEntry> {
        match ring {
            Ring::Signing => &mut self.signing,
            Ring::Sealing => &mut self.sealing,
            Ring::Mac => &mut self.mac,
        }
    }

    pub(crate) fn decode(&self, ring: Ring) -> Result<Vec<DecodedKey>, KeyDocumentError> {
        self.ring(ring).iter().map(KeyEntry::decode).collect()
    }

    fn check(&self) -> Result<(), KeyDocumentError> {
        let mut seen: Vec<DecodedKey> = Vec::new();
        for ring in Ring::ALL {
            if ring != Ring::Mac && self.ring(ring).is_empty() {
                return Err(KeyDocumentError::EmptyRing(ring));
            }
            if self.ring(ring).first().is_some_and(|first| first.announced_at.is_some()) {
                return Err(KeyDocumentError::AnnouncedFirst(ring));
            }
            let first = seen.len();
            for key in self.decode(ring)? {
                if seen.iter().skip(first).any(|other| other.id == key.id) {
                    return Err(KeyDocumentError::DuplicateId { ring, id: key.id });
                }
                if let Some(other) = seen.iter().find(|other| *other.bytes == *key.bytes) {
                    return Err(KeyDocumentError::DuplicateKey { first: other.id.clone(), second: key.id });
                }
                seen.push(key);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyring;

    fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Result<Keyring, KeyringError> {
        let text = Keyring::generate(&Random::system()).unwrap();
        let mut document = serde_json::from_slice(&text).unwrap();
        change(&mut document);
        Keyring::from_json(document.to_string().as_bytes())
    }

    #[test]
    fn given_a_new_document_then_it_has_no_more_than_the_version_before_it_understands() {
        let text = Keyring::generate(&Random::system()).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let document = document.as_object().unwrap();
        assert_eq!(document.keys().collect::<Vec<_>>(), ["installation", "mac", "sealing", "signing"]);
        assert_eq!(document["mac"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "key"]);
    }

    #[test]
    fn given_keys_of_a_version_without_serials_then_an_installation_is_added_once_and_serials_are_required_later()
     {
        let random = Random::system();
        let mut written: serde_json::Value =
            serde_json::from_slice(&Keyring::generate(&random).unwrap()).unwrap();
        assert_eq!(written["installation"]["serialsRequired"], true, "a new installation requires serials");
        written.as_object_mut().unwrap().remove("installation");
        let mut document = KeyDocument::read(written.to_string().as_bytes()).unwrap();
        assert!(document.installation().is_none() && !document.require_serials());
        assert!(document.add_installation(&random).unwrap());
        let added = document.installation().unwrap().clone();
        assert!(!added.serials_required && added.id.len() == 22, "{added:?}");
        assert!(!document.add_installation(&random).unwrap());
        assert!(document.require_serials() && !document.require_serials());
        let read = KeyDocument::read(&document.text().unwrap()).unwrap();
        assert_eq!(read.installation(), Some(&Installation { serials_required: true, ..added }));
    }

    #[test]
    fn given_members_of_a_newer_version_when_a_rotation_advances_then_they_are_kept() {
        let random = Random::system();
        let mut written: serde_json::Value =
            serde_json::from_slice(&Keyring::generate(&random).unwrap()).unwrap();
        written["aLaterMember"] = serde_json::json!({"of": ["a", "later version"]});
        let mut document = KeyDocument::read(written.to_string().as_bytes()).unwrap();
        let (now, standing) = (portcullis_clock::UnixMillis(1), crate::RotationStatus::default());
        document.advance_rotation(Some("now"), standing, now, &random).unwrap().unwrap();
        let rewritten: serde_json::Value = serde_json::from_slice(&document.text().unwrap()).unwrap();
        assert_eq!(rewritten["aLaterMember"], written["aLaterMember"]);
        assert_eq!(rewritten["honoured"], "now");
    }

    /// Requirements: advisory.keys
    #[test]
    fn given_keys_that_are_missing_short_or_there_twice_when_read_then_they_are_refused_with_the_mend() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 6] = [
            (|it| it["mac"] = serde_json::json!([]), "'mac' is missing"),
            (|it| it["signing"] = serde_json::json!([]), "'signing' is empty"),
            (|it| it["sealing"][0]["key"] = "c2hvcnQ".into(), "has 5 bytes, not 32"),
            (|it| it["signing"][0] = it["mac"][0].clone(), "are the same"),
            (|it| it["signing"][0]["announcedAt"] = 1.into(), "begins with an announced key"),
            (
                |it| it["signing"] = [it["signing"][0].clone(), it["signing"][0].clone()].into(),
                "two keys with the id",
            ),
        ];
        for (change, expected) in cases {
            let error = changed(change).err().unwrap().to_string();
            assert!(error.contains(expected) && error.contains("portcullis keys generate"), "{error}");
        }
    }
}
