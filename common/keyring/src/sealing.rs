//! Authenticated encryption of values that leave the process.

use std::sync::Arc;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use portcullis_clock::{NoRandomness, Random};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::key_entry::DecodedKey;
use crate::{KeyDocumentError, Ring};

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
const NONCE_LEN: usize = 12;

/// Length of the prefix of a base64url envelope that identifies its key: version, key id, and two bits of the
/// nonce.
pub const KEY_PREFIX_LEN: usize = 7;

/// Purpose of an envelope. Each purpose has its own derived key, so an envelope for one purpose cannot be
/// opened for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An origin's tokens and client secrets, in the store.
    Credential,
    /// The `Mcp-Session-Id` that clients receive.
    McpSession,
    /// Cookies, and `state` values that pass through a browser.
    Browser,
    /// A static credential, from the operator to the data plane.
    PublishedConfig,
    /// A person's refresh token at their identity provider, in the store.
    IdentityProvider,
}

impl Purpose {
    const ALL: [Self; 5] =
        [Self::Credential, Self::McpSession, Self::Browser, Self::PublishedConfig, Self::IdentityProvider];

    const fn label(self) -> &'static [u8] {
        match self {
            Self::Credential => b"portcullis credential v1",
            Self::McpSession => b"portcullis mcp-session v1",
            Self::Browser => b"portcullis browser v1",
            Self::PublishedConfig => b"portcullis publication v1",
            Self::IdentityProvider => b"portcullis provider v1",
        }
    }
}

/// AES-256-GCM under a ring of keys.
pub struct SealingRing {
    keys: ArcSwap<Vec<SealingKey>>,
}

struct SealingKey {
    id: [u8; KEY_ID_LEN],
    announced: bool,
    ciphers: [Aes256Gcm; Purpose::ALL.len()],
}

/// The envelope could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No randomness for the nonce.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The text is longer than the algorithm allows.
    #[error("the text is too long to be sealed")]
    TooLong,
}

/// The envelope is invalid, was changed, is bound to other data, or its key is missing. Deliberately without
/// details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value cannot be opened")]
pub struct OpenError;

impl SealingRing {
    pub(crate) fn new(keys: Vec<DecodedKey>) -> Result<Self, KeyDocumentError> {
        if keys.is_empty() {
            return Err(KeyDocumentError::EmptyRing(Ring::Sealing));
        }
        let keys = keys.iter().map(SealingKey::new).collect::<Result<_, _>>()?;
        Ok(Self { keys: ArcSwap::from_pointee(keys) })
    }

    pub(crate) fn replace_with(&self, other: &Self) {
        self.keys.store(Arc::clone(&other.keys.load()));
    }

    /// Id of the key that seals new envelopes.
    #[must_use]
    pub fn current_key_id(&self) -> String {
        self.keys.load().first().map(|key| URL_SAFE_NO_PAD.encode(key.id)).unwrap_or_default()
    }

    /// Prefixes of base64url envelopes that were sealed under replaced keys: [`KEY_PREFIX_LEN`] characters
    /// each. Empty if there are no replaced keys.
    #[must_use]
    pub fn replaced_key_prefixes(&self) -> Vec<String> {
        let keys = self.keys.load();
        let replaced = keys.iter().skip(1).filter(|key| !key.announced);
        // Two bits of the last character belong to the nonce.
        let begins = |key: &SealingKey, nonce: u8| {
            let mut head = vec![VERSION];
            head.extend_from_slice(&key.id);
            head.push(nonce << 6);
            let mut text = URL_SAFE_NO_PAD.encode(head);
            text.truncate(KEY_PREFIX_LEN);
            text
        };
        replaced.flat_map(|key| (0..4).map(move |nonce| begins(key, nonce))).collect()
    }

    /// Seals a text. It only opens with the same purpose and the same `bound_to` (subject and origin, for
    /// example).
    ///
    /// # Errors
    /// If there is no randomness, or the text is longer than 64 GiB.
    pub fn seal(
        &self,
        random: &Random,
        purpose: Purpose,
        bound_to: &[&str],
        text: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random.bytes()?;
        // The ring is never empty: `new` rejects an empty one.
        let keys = self.keys.load();
        let Some(key) = keys.first() else { return Err(SealError::TooLong) };
        let aad = associated_data(bound_to);
        let sealed = key.ciphers[purpose as usize]
            .encrypt(&Nonce::from(nonce), Payload { msg: text, aad: &aad })
            .map_err(|_| SealError::TooLong)?;
        let mut envelope = Vec::with_capacity(1 + KEY_ID_LEN + NONCE_LEN + sealed.len());
        envelope.push(VERSION);
        envelope.extend_from_slice(&key.id);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        Ok(envelope)
    }

    /// Opens an envelope.
    ///
    /// # Errors
    /// If it is not exactly what [`seal`](Self::seal) created for the same purpose and `bound_to`.
    pub fn open(
        &self,
        purpose: Purpose,
        bound_to: &[&str],
        envelope: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (&version, rest) = envelope.split_first().ok_or(OpenError)?;
        let (id, rest) = rest.split_at_checked(KEY_ID_LEN).ok_or(OpenError)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(OpenError)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| OpenError)?;
        if version != VERSION {
            return Err(OpenError);
        }
        let keys = self.keys.load();
        let key = keys.iter().find(|key| key.id == id).ok_or(OpenError)?;
        key.ciphers[purpose as usize]
            .decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: &associated_data(bound_to) })
            .map(Zeroizing::new)
            .map_err(|_| OpenError)
    }

    /// Seals an envelope again under the current key. Input and output are base64url. `None` if it cannot be
    /// opened.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn reencrypt(
        &self,
        random: &Random,
        purpose: Purpose,
        bound_to: &[&str],
        sealed: &str,
    ) -> Result<Option<String>, SealError> {
        let Ok(envelope) = URL_SAFE_NO_PAD.decode(sealed) else { return Ok(None) };
        let Ok(text) = self.open(purpose, bound_to, &envelope) else { return Ok(None) };
        Ok(Some(URL_SAFE_NO_PAD.encode(self.seal(random, purpose, bound_to, &text)?)))
    }
}

impl SealingKey {
    fn new(key: &DecodedKey) -> Result<Self, KeyDocumentError> {
        let id = URL_SAFE_NO_PAD
            .decode(&key.id)
            .ok()
            .and_then(|id| <[u8; KEY_ID_LEN]>::try_from(id).ok())
            .ok_or_else(|| KeyDocumentError::SealingKeyId { id: key.id.clone() })?;
        let announced = key.announced;
        let derive = Hkdf::<Sha256>::new(None, &*key.bytes);
        let cipher = |purpose: Purpose| {
            let mut derived = Zeroizing::new([0; 32]);
            derive.expand(purpose.label(), &mut *derived).map_err(KeyDocumentError::Derive)?;
            Ok::<_, KeyDocumentError>(Aes256Gcm::new((&*derived).into()))
        };
        let [a, b, c, d, e] = Purpose::ALL.map(cipher);
        Ok(Self { id, announced, ciphers: [a?, b?, c?, d?, e?] })
    }
}

/// Prefixes each part with its length, so different lists of parts always differ.
fn associated_data(parts: &[&str]) -> Vec<u8> {
    let mut data = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(ids: &[(&str, u8)]) -> SealingRing {
        SealingRing::new(ids.iter().map(|(id, key)| DecodedKey::testing(id, *key)).collect()).unwrap()
    }

    #[test]
    fn given_an_envelope_when_the_ring_has_a_newer_key_first_then_it_still_opens() {
        let old = ring(&[("AAAAAA", 1)]);
        let sealed = old.seal(&Random::system(), Purpose::Credential, &["ana", "linear"], b"token").unwrap();
        let rotated = ring(&[("BBBBBA", 2), ("AAAAAA", 1)]);
        assert_eq!(*rotated.open(Purpose::Credential, &["ana", "linear"], &sealed).unwrap(), b"token");
    }

    #[test]
    fn given_an_envelope_of_a_replaced_key_when_sealed_anew_then_the_new_key_alone_opens_it() {
        let (random, bound_to) = (Random::system(), ["ana", "linear"]);
        let (old, new) = (ring(&[("AAAAAA", 1)]), ring(&[("BBBBBA", 2)]));
        let both = ring(&[("BBBBBA", 2), ("AAAAAA", 1)]);
        let sealed = old.seal(&random, Purpose::Credential, &bound_to, b"token").unwrap();
        let sealed = URL_SAFE_NO_PAD.encode(sealed);
        let anew = both.reencrypt(&random, Purpose::Credential, &bound_to, &sealed).unwrap().unwrap();
        let envelope = URL_SAFE_NO_PAD.decode(&anew).unwrap();
        assert_eq!(*new.open(Purpose::Credential, &bound_to, &envelope).unwrap(), b"token");
        for (purpose, bound_to) in [(Purpose::Browser, &bound_to[..]), (Purpose::Credential, &bound_to[..1])]
        {
            assert!(both.reencrypt(&random, purpose, bound_to, &sealed).unwrap().is_none());
        }
        assert!(both.reencrypt(&random, Purpose::Credential, &bound_to, "no base64url!").unwrap().is_none());
    }

    #[test]
    fn given_an_envelope_when_opened_for_something_else_then_it_does_not_open() {
        let ring = ring(&[("AAAAAA", 1)]);
        let sealed = ring.seal(&Random::system(), Purpose::Credential, &["ab", "c"], b"token").unwrap();
        assert_eq!(ring.open(Purpose::Credential, &["a", "bc"], &sealed), Err(OpenError));
        assert_eq!(ring.open(Purpose::Browser, &["ab", "c"], &sealed), Err(OpenError));
    }

    #[test]
    fn given_envelopes_then_those_of_replaced_keys_are_told_by_their_beginning_and_no_others() {
        let random = Random::system();
        let mut keys =
            [("BBBBBA", 2), ("CCCCCA", 3), ("AAAAAA", 1)].map(|(id, key)| DecodedKey::testing(id, key));
        keys[1].announced = true;
        let ring_of = |id: &str, key| ring(&[(id, key)]);
        let now = SealingRing::new(keys.into()).unwrap();
        assert_eq!(now.current_key_id(), "BBBBBA");
        assert_eq!(now.replaced_key_prefixes().len(), 4);
        for _ in 0..100 {
            for (id, key, replaced) in [("AAAAAA", 1, true), ("BBBBBA", 2, false), ("CCCCCA", 3, false)] {
                let sealed = ring_of(id, key).seal(&random, Purpose::Credential, &[], b"token").unwrap();
                let text = URL_SAFE_NO_PAD.encode(sealed);
                assert_eq!(
                    now.replaced_key_prefixes().iter().any(|it| text.starts_with(it)),
                    replaced,
                    "{text}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn given_any_text_when_one_bit_of_its_envelope_changes_then_it_does_not_open(
            text in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let ring = ring(&[("AAAAAA", 1)]);
            let mut sealed = ring.seal(&Random::system(), Purpose::McpSession, &["x"], &text).unwrap();
            prop_assert_eq!(&*ring.open(Purpose::McpSession, &["x"], &sealed).unwrap(), &text);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(ring.open(Purpose::McpSession, &["x"], &sealed), Err(OpenError));
        }

        #[test]
        fn given_any_bytes_when_opened_then_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(ring(&[("AAAAAA", 1)]).open(Purpose::Browser, &[], &bytes), Err(OpenError));
        }
    }
}
