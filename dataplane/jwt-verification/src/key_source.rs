//! Sources of public keys, and verification with them.

use serde_json::Value;

use crate::{Claims, JwkSet, JwksEndpoint, JwtError, JwtVerifier, UnverifiedJwt};

/// Source of the public keys of a client or provider.
#[derive(Clone)]
pub enum JwksSource {
    /// The configured JSON Web Key Set itself.
    Inline(Value),
    /// A key set at an address.
    Remote(JwksEndpoint),
}

impl JwtVerifier {
    /// Verifies an assertion with the keys of a source and returns the claims. An unknown key makes the
    /// gateway fetch the key set again: once, within the limits in `fetch.rs` and `jwks_cache.rs`.
    ///
    /// # Errors
    /// If no key verifies the signature, or the keys are unavailable.
    pub async fn verify(
        &self,
        source: &JwksSource,
        assertion: &UnverifiedJwt<'_>,
    ) -> Result<Claims, JwtError> {
        let place = match source {
            JwksSource::Inline(keys) => {
                let keys = JwkSet::read(keys);
                return keys.map_err(|error| JwtError::KeysUnusable(error.into()))?.verify(assertion);
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
