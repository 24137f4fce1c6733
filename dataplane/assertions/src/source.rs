use serde_json::Value;

use crate::{AssertionError, Claims, KeySet, Place, Unverified, Verifier};

/// Where somebody's public keys are.
#[derive(Clone)]
pub enum KeySource {
    /// At hand: a JSON Web Key Set.
    Here(Value),
    /// At an address.
    At(Place),
}

impl Verifier {
    /// What an assertion says, if one of somebody's keys has signed it. A key that is not known makes the gateway look at their
    /// address again: once, and not more often than the bounds in remote.rs allow.
    ///
    /// # Errors
    /// When no key has signed it, or the keys cannot be had.
    pub async fn verify(
        &self,
        source: &KeySource,
        assertion: &Unverified<'_>,
    ) -> Result<Claims, AssertionError> {
        let place = match source {
            KeySource::Here(keys) => {
                let keys = KeySet::read(keys);
                return keys
                    .map_err(|error| AssertionError::KeysUnusable(error.to_string()))?
                    .verify(assertion);
            }
            KeySource::At(place) => place,
        };
        let fetched = self.keys_at(place).await?;
        match fetched.keys.verify(assertion) {
            Err(AssertionError::Key) => match self.newer_keys_at(place, &fetched).await? {
                Some(newer) => newer.keys.verify(assertion),
                None => Err(AssertionError::Key),
            },
            verified => verified,
        }
    }
}
