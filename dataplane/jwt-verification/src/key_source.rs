use serde_json::Value;

use crate::{Claims, JwkSet, JwksEndpoint, JwtError, JwtVerifier, UnverifiedJwt};

/// Where somebody's public keys are.
#[derive(Clone)]
pub enum JwksSource {
    /// At hand: a JSON Web Key Set.
    Inline(Value),
    /// At an address.
    Remote(JwksEndpoint),
}

impl JwtVerifier {
    /// What an assertion says, if one of somebody's keys has signed it. A key that is not known makes the gateway look at their
    /// address again: once, and not more often than the bounds in remote.rs allow.
    ///
    /// # Errors
    /// When no key has signed it, or the keys cannot be had.
    pub async fn verify(
        &self,
        source: &JwksSource,
        assertion: &UnverifiedJwt<'_>,
    ) -> Result<Claims, JwtError> {
        let place = match source {
            JwksSource::Inline(keys) => {
                let keys = JwkSet::read(keys);
                return keys.map_err(|error| JwtError::KeysUnusable(error.to_string()))?.verify(assertion);
            }
            JwksSource::Remote(place) => place,
        };
        let fetched = self.cached_keys(place).await?;
        match fetched.keys.verify(assertion) {
            Err(JwtError::UnknownKey) => match self.refetch_keys(place, &fetched).await? {
                Some(newer) => newer.keys.verify(assertion),
                None => Err(JwtError::UnknownKey),
            },
            verified => verified,
        }
    }
}
