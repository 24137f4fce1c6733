//! Format of encrypted key rings in their file or Secret.

use serde::{Deserialize, Serialize};

/// Encrypted key rings as they are stored: the ciphertext, and the transit key that decrypts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EncryptedKeys {
    pub(crate) mount: String,
    pub(crate) key: String,
    pub(crate) ciphertext: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<Inner> {
    transit: Inner,
}

impl EncryptedKeys {
    /// `None` if the text is not encrypted key rings.
    pub(crate) fn read(stored: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Document<Self>>(stored).ok().map(|document| document.transit)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&Document { transit: self }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_encrypted_rings_when_written_then_they_read_the_same_and_plain_ones_are_none() {
        let stored = EncryptedKeys {
            mount: "transit".into(),
            key: "portcullis".into(),
            ciphertext: "vault:v1:x".into(),
        };
        assert_eq!(EncryptedKeys::read(&stored.to_json()), Some(stored));
        for plain in [r#"{"signing":[],"sealing":[],"mac":[]}"#, "", "[]", r#"{"transit":{}}"#] {
            assert_eq!(EncryptedKeys::read(plain.as_bytes()), None, "{plain}");
        }
    }
}
