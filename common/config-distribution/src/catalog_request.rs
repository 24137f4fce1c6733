use portcullis_clock::{NoRandomness, Random};
use portcullis_keyring::{InvalidMac, Keyring, NoMacKey, Purpose, SealError};

use crate::ObservedCatalogs;

/// Where a replica tells what its users were shown, on its private listener.
pub const CATALOGS_PATH: &str = "/catalogs";
/// Header of the question: 256 random bits, used once.
pub const NONCE_HEADER: &str = "portcullis-nonce";
/// Header of the question: its MAC.
pub const MAC_HEADER: &str = "portcullis-mac";
/// No answer is longer, in bytes.
pub const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;

/// What both ends bind their part to, so that it says nothing elsewhere.
const CONTEXT: &str = "observed catalogs";

/// The operator's question to one replica: what were your users shown?
///
/// It bears a MAC under the installation's key, so that nobody else is answered. The answer is sealed, and bound to the replica and
/// to the question's nonce: it opens for the operator alone, and one that was given before answers nothing. A question that is
/// asked again by somebody who saw it pass yields what they cannot open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogRequest {
    replica: String,
    /// Goes along in [`NONCE_HEADER`].
    pub nonce: String,
}

/// An answer that is not believed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogReplyError {
    /// It was not made with these keys, or not for this question.
    #[error("the answer does not open; do this operator and that replica have the same keys?")]
    Unopenable,
    /// It is not understood here.
    #[error("the answer is not understood here: {0}; operator and data plane are too far apart in version")]
    NotUnderstood(#[from] serde_json::Error),
}

impl CatalogRequest {
    /// A new question to this replica.
    ///
    /// # Errors
    /// Without randomness.
    pub fn new(random: &Random, replica: &str) -> Result<Self, NoRandomness> {
        Ok(Self { replica: replica.to_owned(), nonce: random.token()? })
    }

    /// Goes along in [`MAC_HEADER`].
    ///
    /// # Errors
    /// When there is no key.
    pub fn mac(&self, keys: &Keyring) -> Result<String, NoMacKey> {
        keys.mac.mac(&[CONTEXT, &self.replica, &self.nonce])
    }

    /// A question as it arrived at this replica.
    ///
    /// # Errors
    /// When it was not asked by the installation's operator, or not of this replica.
    pub fn authenticate(keys: &Keyring, replica: &str, nonce: &str, mac: &str) -> Result<Self, InvalidMac> {
        keys.mac.verify(&[CONTEXT, replica, nonce], mac)?;
        Ok(Self { replica: replica.to_owned(), nonce: nonce.to_owned() })
    }

    /// Seals the answer. Its times are ages.
    ///
    /// # Errors
    /// Without randomness.
    pub fn seal_reply(
        &self,
        keys: &Keyring,
        random: &Random,
        observed: &ObservedCatalogs,
    ) -> Result<Vec<u8>, SealError> {
        // Maps of text and numbers are always JSON.
        let text = serde_json::to_vec(observed).unwrap_or_default();
        keys.sealing.seal(random, Purpose::PublishedConfig, &[CONTEXT, &self.replica, &self.nonce], &text)
    }

    /// Opens the answer to this question.
    ///
    /// # Errors
    /// When it is none.
    pub fn open_reply(&self, keys: &Keyring, answer: &[u8]) -> Result<ObservedCatalogs, CatalogReplyError> {
        let bound_to = [CONTEXT, &self.replica, &self.nonce];
        let text = keys
            .sealing
            .open(Purpose::PublishedConfig, &bound_to, answer)
            .map_err(|_| CatalogReplyError::Unopenable)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ListKind, ObservedItem};

    fn keys() -> Keyring {
        Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap()
    }

    #[test]
    fn given_a_question_when_answered_then_it_opens_for_that_question_alone() {
        let (keys, random) = (keys(), Random::system());
        let asked = CatalogRequest::new(&random, "replica-0").unwrap();
        let mac = asked.mac(&keys).unwrap();
        let arrived = CatalogRequest::authenticate(&keys, "replica-0", &asked.nonce, &mac).unwrap();
        let mut observed = ObservedCatalogs::default();
        observed.record("o", "https://x", ListKind::Tools, [ObservedItem::new("a", "{}")], 7);
        let answer = arrived.seal_reply(&keys, &random, &observed).unwrap();
        assert_eq!(asked.open_reply(&keys, &answer).unwrap(), observed);
        let again = CatalogRequest::new(&random, "replica-0").unwrap();
        assert!(
            matches!(again.open_reply(&keys, &answer), Err(CatalogReplyError::Unopenable)),
            "an answer to another question"
        );
    }

    #[test]
    fn given_a_question_of_somebody_else_or_to_somebody_else_then_it_is_not_answered() {
        let (ours, theirs) = (keys(), keys());
        let asked = CatalogRequest::new(&Random::system(), "replica-0").unwrap();
        let mac = asked.mac(&ours).unwrap();
        assert!(CatalogRequest::authenticate(&ours, "replica-1", &asked.nonce, &mac).is_err());
        assert!(CatalogRequest::authenticate(&ours, "replica-0", "another", &mac).is_err());
        assert!(
            CatalogRequest::authenticate(&ours, "replica-0", &asked.nonce, &asked.mac(&theirs).unwrap())
                .is_err()
        );
        assert!(CatalogRequest::authenticate(&ours, "replica-0", &asked.nonce, "").is_err());
    }
}
