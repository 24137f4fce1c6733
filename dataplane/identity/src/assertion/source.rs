use serde_json::Value;

use super::{AssertionError, Claims, KeySet, Place, Unverified};
use crate::Identity;

/// Where somebody's public keys are.
#[derive(Clone)]
pub(crate) enum KeySource {
    /// At hand: a JSON Web Key Set.
    Here(Value),
    /// At an address.
    At(Place),
}

impl Identity {
    /// What an assertion says, if one of somebody's keys has signed it. A key that is not known makes the gateway look at their
    /// address again: once, and not more often than the bounds in remote.rs allow.
    pub(crate) async fn verify(
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
