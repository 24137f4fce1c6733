//! A single key in `keys.json`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::{NoRandomness, Random};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::KeyDocumentError;
use crate::weak_keys::weakness;

/// A key of 256 bits in base64url. The id is public. Times are Unix milliseconds.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct KeyEntry {
    pub(crate) id: String,
    pub(crate) key: Zeroizing<String>,
    /// When it was announced. Absent once it is the current key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) announced_at: Option<i64>,
    /// When all processes stopped creating anything with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retired_at: Option<i64>,
}

/// A decoded key.
pub(crate) struct DecodedKey {
    pub(crate) id: String,
    pub(crate) bytes: Zeroizing<[u8; 32]>,
    /// Whether it is announced only, so nothing may be created with it yet.
    pub(crate) announced: bool,
}

impl KeyEntry {
    pub(crate) fn new(random: &Random) -> Result<Self, NoRandomness> {
        let key = Zeroizing::new(random.bytes::<32>()?);
        let id = random.bytes::<4>()?;
        Ok(Self {
            id: URL_SAFE_NO_PAD.encode(id),
            key: Zeroizing::new(URL_SAFE_NO_PAD.encode(*key)),
            announced_at: None,
            retired_at: None,
        })
    }

    pub(crate) fn decode(&self) -> Result<DecodedKey, KeyDocumentError> {
        let id = || self.id.clone();
        let bytes = URL_SAFE_NO_PAD.decode(self.key.as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| KeyDocumentError::Encoding { id: id() })?);
        let key: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| KeyDocumentError::Length { id: id(), length: bytes.len() })?;
        let bytes = Zeroizing::new(key);
        match weakness(&bytes) {
            Some(weakness) => Err(KeyDocumentError::Weak { id: id(), weakness }),
            None => Ok(DecodedKey { id: id(), bytes, announced: self.announced_at.is_some() }),
        }
    }
}

#[cfg(test)]
impl DecodedKey {
    /// A key that a document would reject as weak.
    pub(crate) fn testing(id: &str, byte: u8) -> Self {
        Self { id: id.to_owned(), bytes: Zeroizing::new([byte; 32]), announced: false }
    }
}
