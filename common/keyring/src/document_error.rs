//! The error of an invalid `keys.json`.

use crate::Ring;

/// Why a `keys.json` is invalid. It never contains a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyDocumentError {
    /// It is not JSON of the expected shape.
    #[error("not a key file: {0}")]
    Json(#[source] serde_json::Error),
    /// It cannot be serialized.
    #[error("{0}")]
    Unwritable(#[source] serde_json::Error),
    /// A ring that must exist is missing.
    #[error("the ring '{}' is missing", .0.name())]
    MissingRing(Ring),
    /// A ring has no key.
    #[error("the ring '{}' is empty", .0.name())]
    EmptyRing(Ring),
    /// The first key of a ring is not the current one.
    #[error("the ring '{}' begins with an announced key, but the first key must be the current one", .0.name())]
    AnnouncedFirst(Ring),
    /// Two keys of a ring have the same id.
    #[error("the ring '{}' has two keys with the id {id}", .ring.name())]
    DuplicateId {
        /// The ring.
        ring: Ring,
        /// The id.
        id: String,
    },
    /// Two entries hold the same key.
    #[error("the keys {first} and {second} are the same")]
    DuplicateKey {
        /// Id of one entry.
        first: String,
        /// Id of the other entry.
        second: String,
    },
    /// A key is not base64url. The decoder's error is omitted, because it quotes from the key.
    #[error("key {id} is not base64url")]
    Encoding {
        /// Id of the key.
        id: String,
    },
    /// A key does not have 256 bits.
    #[error("key {id} has {length} bytes, not 32")]
    Length {
        /// Id of the key.
        id: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A key is not random, or published.
    #[error("key {id} {weakness}")]
    Weak {
        /// Id of the key.
        id: String,
        /// Why the key is weak.
        weakness: &'static str,
    },
    /// The id of a sealing key does not fit into an envelope.
    #[error("the sealing key id {id} is not four bytes in base64url")]
    SealingKeyId {
        /// The id.
        id: String,
    },
    /// A signing key is not usable.
    #[error("signing key {id}: {source}")]
    SigningKey {
        /// Id of the key.
        id: String,
        /// Error of the cryptographic library.
        source: aws_lc_rs::error::KeyRejected,
    },
    /// A signing key cannot be encoded as PKCS #8.
    #[error("signing key {id} cannot be encoded")]
    SigningKeyEncoding {
        /// Id of the key.
        id: String,
        /// Error of the cryptographic library.
        source: aws_lc_rs::error::Unspecified,
    },
    /// A sealing key cannot be derived.
    #[error("{0}")]
    Derive(#[source] hkdf::InvalidLength),
}
