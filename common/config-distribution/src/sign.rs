use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis_keyring::{MacRing, NoMacKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::DocumentKind;

/// What is written into an object's data, under the names of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDocument {
    /// JSON.
    pub document: String,
    /// SHA-256 of the document, in hex.
    pub hash: String,
    /// `KEYID.base64url`, see [`MacRing::mac`].
    pub mac: String,
}

impl SignedDocument {
    /// The data of the object.
    #[must_use]
    pub fn data(self) -> BTreeMap<String, String> {
        [("document", self.document), ("hash", self.hash), ("mac", self.mac)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }
}

/// A document that cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It cannot be written as JSON.
    #[error("the document cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// Nobody could know that it is ours.
    #[error(transparent)]
    NoMacKey(#[from] NoMacKey),
}

/// Why an object is not believed. What was last believed of it stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It lacks a part.
    #[error("the object has no '{0}'; it was not written by the operator")]
    Incomplete(&'static str),
    /// The document was changed.
    #[error("the hash is not that of the document; somebody changed the object")]
    WrongHash,
    /// It was not written by the operator, or belongs to another object, or its key is gone.
    #[error("the MAC does not verify; the object was not written by this installation's operator")]
    Forged,
    /// A version that is not understood here.
    #[error("the document is not understood here: {0}; operator and data plane are too far apart in version")]
    NotUnderstood(String),
    /// The credential does not open.
    #[error("the credential does not open; its key is no longer in the ring")]
    Unopenable,
}

impl VerifyError {
    /// One CamelCase word, for reports and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "Incomplete",
            Self::WrongHash => "WrongHash",
            Self::Forged => "Forged",
            Self::NotUnderstood(_) => "NotUnderstood",
            Self::Unopenable => "Unopenable",
        }
    }
}

/// The name of an object: `route-` and 20 hex digits of the SHA-256 of the source's identity (a resource's UID; for a credential
/// its name, `namespace/secret/key`). There is one gateway and one list of diagnoses, so that one replaces the other at once:
/// they are named `gateway` and `diagnoses`.
#[must_use]
pub fn object_name(kind: DocumentKind, identity: &str) -> String {
    match kind {
        DocumentKind::Gateway | DocumentKind::Diagnostics => kind.label().to_owned(),
        _ => {
            let mut name = format!("{}-{}", kind.label(), content_hash(identity));
            name.truncate(kind.label().len() + 1 + 20);
            name
        }
    }
}

/// SHA-256 in hex: the hash of a document.
#[must_use]
pub fn content_hash(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        // Writing to a string does not fail.
        write!(hex, "{byte:02x}").ok();
    }
    hex
}

/// Writes a document, with its hash and MAC, for the object of this kind and name.
///
/// # Errors
/// When it cannot be written as JSON, or there is no key for a MAC.
pub fn sign_document(
    ring: &MacRing,
    kind: DocumentKind,
    name: &str,
    document: &impl Serialize,
) -> Result<SignedDocument, SignError> {
    sign(ring, [kind.object_kind(), name, kind.label()], document)
}

/// The same, for whatever is at this place: kind of the object, its name, what it is.
pub(crate) fn sign(
    ring: &MacRing,
    place: [&str; 3],
    document: &impl Serialize,
) -> Result<SignedDocument, SignError> {
    let [object_kind, name, label] = place;
    let document = serde_json::to_string(document)?;
    let mac = ring.mac(&[object_kind, name, label, &document])?;
    Ok(SignedDocument { hash: content_hash(&document), mac, document })
}

/// Verifies an object's data and reads its document.
///
/// # Errors
/// When it was not written by an operator with one of these keys for an object of this kind and name, or is not understood.
pub fn verify_document<T: DeserializeOwned>(
    ring: &MacRing,
    kind: DocumentKind,
    name: &str,
    data: &BTreeMap<String, String>,
) -> Result<T, VerifyError> {
    verify_in_context(ring, [kind.object_kind(), name, kind.label()], data)
}

/// The same, for whatever is at this place.
pub(crate) fn verify_in_context<T: DeserializeOwned>(
    ring: &MacRing,
    place: [&str; 3],
    data: &BTreeMap<String, String>,
) -> Result<T, VerifyError> {
    let [object_kind, name, label] = place;
    let part = |part: &'static str| data.get(part).ok_or(VerifyError::Incomplete(part));
    let (document, hash, mac) = (part("document")?, part("hash")?, part("mac")?);
    ring.verify(&[object_kind, name, label, document], mac).map_err(|_| VerifyError::Forged)?;
    if content_hash(document) != *hash {
        return Err(VerifyError::WrongHash);
    }
    serde_json::from_str(document).map_err(|error| VerifyError::NotUnderstood(error.to_string()))
}
