//! The operator's request for a replica's observed catalogs, and the sealed response.

use portcullis_clock::{NoRandomness, Random};
use portcullis_keyring::{InvalidMac, Keyring, NoMacKey, Purpose, SealError};

use crate::ObservedCatalogs;

/// Path on a replica's private listener that returns its observed catalogs.
pub const CATALOGS_PATH: &str = "/catalogs";
/// Request header: nonce of 256 random bits, used once.
pub const NONCE_HEADER: &str = "portcullis-nonce";
/// Request header: MAC of the request.
pub const MAC_HEADER: &str = "portcullis-mac";
/// Maximum size of a response, in bytes.
pub const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;

/// Context of the MAC and the sealed response. It makes them invalid for other purposes.
const CONTEXT: &str = "observed catalogs";

/// The operator's request to one replica for the catalogs that its users were shown.
///
/// The request has a MAC with the installation's key; a replica rejects requests from others. The response is
/// sealed with the installation's keys and bound to the replica and the nonce of the request. An old response
/// does not open for a new request. An attacker who replays a request cannot open the response without the
/// keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogRequest {
    replica: String,
    /// Value of [`NONCE_HEADER`].
    pub nonce: String,
}

/// Why a response is rejected.
#[derive(Debug, thiserror::Error)]
pub enum CatalogReplyError {
    /// It was sealed with other keys or for another request.
    #[error(
        "failed to open the replica's response; check that the operator and the replica use the same keys"
    )]
    Unopenable,
    /// It cannot be decoded.
    #[error(
        "failed to decode the replica's response: {0}; the versions of the operator and the data plane are too far apart"
    )]
    NotUnderstood(#[from] serde_json::Error),
}

impl CatalogRequest {
    /// A new request to this replica.
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub fn new(random: &Random, replica: &str) -> Result<Self, NoRandomness> {
        Ok(Self { replica: replica.to_owned(), nonce: random.token()? })
    }

    /// Value of [`MAC_HEADER`].
    ///
    /// # Errors
    /// When the MAC ring has no key.
    pub fn mac(&self, keys: &Keyring) -> Result<String, NoMacKey> {
        keys.mac.mac(&[CONTEXT, &self.replica, &self.nonce])
    }

    /// Verifies a request that this replica received.
    ///
    /// # Errors
    /// When it does not come from the installation's operator or is not for this replica.
    pub fn authenticate(keys: &Keyring, replica: &str, nonce: &str, mac: &str) -> Result<Self, InvalidMac> {
        keys.mac.verify(&[CONTEXT, replica, nonce], mac)?;
        Ok(Self { replica: replica.to_owned(), nonce: nonce.to_owned() })
    }

    /// Seals the response. Its times must be ages ([`ObservedCatalogs::swap_times_and_ages`]).
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub fn seal_reply(
        &self,
        keys: &Keyring,
        random: &Random,
        observed: &ObservedCatalogs,
    ) -> Result<Vec<u8>, SealError> {
        // Maps of strings and numbers can always be serialized.
        let text = serde_json::to_vec(observed).unwrap_or_default();
        keys.sealing.seal(random, Purpose::PublishedConfig, &[CONTEXT, &self.replica, &self.nonce], &text)
    }

    /// Opens the response to this request.
    ///
    /// # Errors
    /// When it was sealed with other keys or for another request, or cannot be decoded.
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
            "a response to another request"
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
