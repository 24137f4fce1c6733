//! Signs and verifies the data of published objects.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis_keyring::{MacRing, NoMacKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::stamp::Header;
use crate::{DocumentKind, Stamp};

/// Entries of an object's data, under the names of these fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDocument {
    /// Document as JSON.
    pub document: String,
    /// SHA-256 of the document in hex.
    pub hash: String,
    /// MAC, `KEYID.base64url`, see [`MacRing::mac`].
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

/// Why a document cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It cannot be serialized as JSON.
    #[error("failed to serialize the document: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// The MAC ring has no key.
    #[error(transparent)]
    NoMacKey(#[from] NoMacKey),
}

/// Why an object fails verification. Its last valid version stays in use.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A part is missing.
    #[error("the object has no '{0}', so it was not written by the operator")]
    Incomplete(&'static str),
    /// The hash does not match the document.
    #[error("the hash does not match the document; the object was changed")]
    WrongHash,
    /// It was not written by the operator, belongs to another object, or was signed with a key that is no
    /// longer in the ring.
    #[error("the MAC is invalid; the object was not written by this installation's operator")]
    Forged,
    /// The document cannot be decoded, usually because of its version.
    #[error(
        "failed to decode the document: {0}; the versions of the operator and the data plane are too far apart"
    )]
    NotUnderstood(#[source] serde_json::Error),
    /// The document requires a feature that this version does not read.
    #[error(
        "the document requires the feature '{0}', which this version does not support; upgrade the data plane"
    )]
    Unsupported(String),
    /// It was written for an installation with another id.
    #[error(
        "the document belongs to another installation; only this installation's operator may publish here"
    )]
    OtherInstallation,
    /// It has no serial, although every document of this installation has one.
    #[error(
        "the document has no serial, so it is older than the current ones; restart the operator, which writes it again"
    )]
    NoSerial,
    /// The credential cannot be opened.
    #[error("failed to open the credential; its key is no longer in the ring")]
    Unopenable,
}

impl VerifyError {
    /// Machine-readable reason for reports and metrics: one CamelCase word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "Incomplete",
            Self::WrongHash => "WrongHash",
            Self::Forged => "Forged",
            Self::NotUnderstood(_) => "NotUnderstood",
            Self::Unsupported(_) => "Unsupported",
            Self::OtherInstallation => "OtherInstallation",
            Self::NoSerial => "NoSerial",
            Self::Unopenable => "Unopenable",
        }
    }
}

/// Name of an object: for example `route-` and 20 hex digits of the SHA-256 of the source's identity. The
/// identity is the UID of a resource, or `namespace/secret/key` for a credential. There is one gateway and
/// one list of diagnostics; their objects are named `gateway` and `diagnoses`, so a new version replaces the
/// old one.
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

/// Hash of a document: SHA-256 in hex.
#[must_use]
pub fn content_hash(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        // Writing to a string cannot fail.
        write!(hex, "{byte:02x}").ok();
    }
    hex
}

/// Serializes a document without a stamp for the object of this kind and name, with its hash and MAC.
///
/// # Errors
/// When it cannot be serialized, or the MAC ring has no key.
pub fn sign_document(
    ring: &MacRing,
    kind: DocumentKind,
    name: &str,
    document: &impl Serialize,
) -> Result<SignedDocument, SignError> {
    let document = serde_json::to_string(document)?;
    sign_text(ring, [kind.object_kind(), name, kind.label()], document)
}

/// Signs the JSON text of a document for the object of this kind and name, with this stamp.
///
/// # Errors
/// When the MAC ring has no key.
pub fn sign_stamped(
    ring: &MacRing,
    kind: DocumentKind,
    name: &str,
    stamp: &Stamp,
    document: &str,
) -> Result<SignedDocument, SignError> {
    sign_text(ring, [kind.object_kind(), name, kind.label()], stamp.apply(document))
}

/// Serializes and signs a document. `place` is the kind of the object, its name and the label of the
/// document.
pub(crate) fn sign(
    ring: &MacRing,
    place: [&str; 3],
    document: &impl Serialize,
) -> Result<SignedDocument, SignError> {
    sign_text(ring, place, serde_json::to_string(document)?)
}

fn sign_text(ring: &MacRing, place: [&str; 3], document: String) -> Result<SignedDocument, SignError> {
    let [object_kind, name, label] = place;
    let mac = ring.mac(&[object_kind, name, label, &document])?;
    Ok(SignedDocument { hash: content_hash(&document), mac, document })
}

/// Verifies an object's data and decodes its document.
///
/// # Errors
/// When it was not signed with one of these keys for an object of this kind and name, or cannot be decoded.
pub fn verify_document<T: DeserializeOwned>(
    ring: &MacRing,
    kind: DocumentKind,
    name: &str,
    data: &BTreeMap<String, String>,
) -> Result<T, VerifyError> {
    verify_stamped(ring, kind, name, data).map(|(_, document)| document)
}

/// Like [`verify_document`], with the document's stamp. `None` for a document of a version without serials.
///
/// # Errors
/// Like [`verify_document`].
pub fn verify_stamped<T: DeserializeOwned>(
    ring: &MacRing,
    kind: DocumentKind,
    name: &str,
    data: &BTreeMap<String, String>,
) -> Result<(Option<Stamp>, T), VerifyError> {
    let document = verify_text(ring, [kind.object_kind(), name, kind.label()], data)?;
    let header: Header = serde_json::from_str(document).map_err(VerifyError::NotUnderstood)?;
    header.check_features()?;
    Ok((header.stamp(), serde_json::from_str(document).map_err(VerifyError::NotUnderstood)?))
}

/// Verifies and decodes a document. `place` is the same as for [`sign`].
pub(crate) fn verify_in_context<T: DeserializeOwned>(
    ring: &MacRing,
    place: [&str; 3],
    data: &BTreeMap<String, String>,
) -> Result<T, VerifyError> {
    serde_json::from_str(verify_text(ring, place, data)?).map_err(VerifyError::NotUnderstood)
}

/// The text of a document whose MAC and hash are valid.
fn verify_text<'a>(
    ring: &MacRing,
    place: [&str; 3],
    data: &'a BTreeMap<String, String>,
) -> Result<&'a str, VerifyError> {
    let [object_kind, name, label] = place;
    let part = |part: &'static str| data.get(part).ok_or(VerifyError::Incomplete(part));
    let (document, hash, mac) = (part("document")?, part("hash")?, part("mac")?);
    ring.verify(&[object_kind, name, label, document], mac).map_err(|_| VerifyError::Forged)?;
    if content_hash(document) != *hash {
        return Err(VerifyError::WrongHash);
    }
    Ok(document)
}
