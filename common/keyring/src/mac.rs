//! Message authentication codes for published objects.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::key_entry::DecodedKey;

/// HMAC-SHA256 under a ring of keys. It proves that the operator wrote a published object.
///
/// The ring may be empty, because a single machine publishes nothing. Then it creates and accepts no MAC.
pub struct MacRing {
    keys: ArcSwap<Vec<(String, hmac::Key)>>,
}

/// The ring contains no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys have no ring 'mac'; restore keys.json from a backup of this installation's keys")]
pub struct NoMacKey;

/// The MAC does not match the parts, or its key is not in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MAC does not verify")]
pub struct InvalidMac;

impl MacRing {
    pub(crate) fn new(keys: Vec<DecodedKey>) -> Self {
        let keys = keys.into_iter().map(|key| (key.id, hmac::Key::new(hmac::HMAC_SHA256, &*key.bytes)));
        Self { keys: ArcSwap::from_pointee(keys.collect()) }
    }

    pub(crate) fn replace_with(&self, other: &Self) {
        self.keys.store(Arc::clone(&other.keys.load()));
    }

    /// Whether the ring contains no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.load().is_empty()
    }

    /// Creates a MAC over these parts with the current key: `KEYID.base64url`. The MAC also covers the key
    /// id.
    ///
    /// # Errors
    /// If the ring is empty.
    pub fn mac(&self, parts: &[&str]) -> Result<String, NoMacKey> {
        let keys = self.keys.load();
        let (id, key) = keys.first().ok_or(NoMacKey)?;
        let tag = hmac::sign(key, &message(id, parts));
        Ok(format!("{id}.{}", URL_SAFE_NO_PAD.encode(tag)))
    }

    /// Verifies a MAC, in constant time.
    ///
    /// # Errors
    /// If it is not exactly what [`mac`](Self::mac) creates over the same parts with a key of this ring.
    pub fn verify(&self, parts: &[&str], mac: &str) -> Result<(), InvalidMac> {
        let (id, tag) = mac.split_once('.').ok_or(InvalidMac)?;
        let keys = self.keys.load();
        let (_, key) = keys.iter().find(|(known, _)| known == id).ok_or(InvalidMac)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| InvalidMac)?;
        hmac::verify(key, &message(id, parts), &tag).map_err(|_| InvalidMac)
    }

    /// Whether a MAC was created with the current key. If not, it should be created again after a rotation.
    #[must_use]
    pub fn is_current(&self, mac: &str) -> bool {
        let keys = self.keys.load();
        let current = keys.first().map(|(id, _)| id.as_str());
        current.is_some() && mac.split_once('.').map(|(id, _)| id) == current
    }
}

/// Prefixes each part with its length, so different lists of parts always differ.
fn message(id: &str, parts: &[&str]) -> Vec<u8> {
    let mut message =
        Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum::<usize>() + id.len() + 8);
    for part in std::iter::once(&id).chain(parts) {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[(&str, u8)]) -> MacRing {
        MacRing::new(ids.iter().map(|(id, key)| DecodedKey::testing(id, *key)).collect())
    }

    #[test]
    fn given_a_mac_when_the_ring_has_a_newer_key_first_then_it_still_verifies_and_is_not_current() {
        let mac = ring(&[("a", 1)]).mac(&["ConfigMap", "route-x"]).unwrap();
        let rotated = ring(&[("b", 2), ("a", 1)]);
        assert_eq!(rotated.verify(&["ConfigMap", "route-x"], &mac), Ok(()));
        assert!(!rotated.is_current(&mac));
        assert!(rotated.is_current(&rotated.mac(&[]).unwrap()));
    }

    #[test]
    fn given_other_parts_or_another_key_or_nonsense_when_verified_then_it_is_forged() {
        let ours = ring(&[("a", 1)]);
        let mac = ours.mac(&["ab", "c"]).unwrap();
        assert_eq!(ours.verify(&["a", "bc"], &mac), Err(InvalidMac));
        assert_eq!(ring(&[("a", 9)]).verify(&["ab", "c"], &mac), Err(InvalidMac));
        assert_eq!(ring(&[("b", 1)]).verify(&["ab", "c"], &mac.replace("a.", "b.")), Err(InvalidMac));
        for mac in ["", ".", "a.", "a.!", "b.AAAA"] {
            assert_eq!(ours.verify(&["ab", "c"], mac), Err(InvalidMac), "{mac}");
        }
    }

    /// Requirements: advisory.fail-open
    #[test]
    fn given_no_key_then_nothing_is_made_and_nothing_is_accepted() {
        assert_eq!(ring(&[]).mac(&[]), Err(NoMacKey));
        assert!(!ring(&[]).is_current("."));
    }
}
