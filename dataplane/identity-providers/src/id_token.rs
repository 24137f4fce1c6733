//! Verifies id_tokens (OpenID Connect Core, sections 3.1.3.7 and 12.2).

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{
    ClaimsVerificationError, ClientId, ClientSecret, IssuerUrl, Nonce, SignatureVerificationError,
};
use portcullis_clock::{Clock, UnixMillis};
use portcullis_egress::parse_json_object;
use portcullis_jwt_verification::{JwksEndpoint, JwtError, JwtVerifier};
use secrecy::ExposeSecret as _;

use crate::discovery::invalid_issuer;
use crate::error::{Problem, ProviderError};
use crate::provider::Provider;
use crate::{MAX_CACHED_PROVIDERS, UserClaims};

/// How long a provider's keys are cached.
const KEYS_TTL: Duration = Duration::from_secs(3600);
/// Minimum time between two fetches of the keys because of an unknown key id.
const MIN_KEYS_REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// A provider's keys in the format of the `openidconnect` crate.
pub(crate) struct IdTokenKeys {
    fetched_at: UnixMillis,
    keys: CoreJsonWebKeySet,
}

/// The expected `nonce` of an id_token.
#[derive(Clone, Copy)]
pub(crate) enum ExpectedNonce<'a> {
    /// The id_token must have this nonce.
    Required(&'a str),
    /// A nonce must match if present. The id_token of a refresh need not have one (section 12.2).
    IfPresent(Option<&'a str>),
}

impl ExpectedNonce<'_> {
    fn check(self, found: Option<&Nonce>) -> Result<(), &'static str> {
        let (expected, found) = match (self, found) {
            (Self::Required(_), None) => return Err("it has no nonce"),
            (Self::IfPresent(_), None) => return Ok(()),
            (Self::Required(nonce), Some(found)) => (Some(nonce), found),
            (Self::IfPresent(nonce), Some(found)) => (nonce, found),
        };
        // `Nonce` compares digests, so the timing reveals nothing.
        match expected.map(|nonce| Nonce::new(nonce.to_owned())) {
            Some(expected) if expected == *found => Ok(()),
            _ => Err("its nonce belongs to another sign-in"),
        }
    }
}

/// Verifies id_tokens with the keys of their provider.
pub(crate) struct IdTokenVerifier {
    verifier: Arc<JwtVerifier>,
    clock: Clock,
    keys: Cache<JwksEndpoint, Arc<IdTokenKeys>>,
}

impl IdTokenVerifier {
    pub(crate) fn new(verifier: Arc<JwtVerifier>, clock: Clock) -> Self {
        Self { verifier, clock, keys: Cache::new(MAX_CACHED_PROVIDERS) }
    }

    /// Verifies an id_token that this provider issued to the gateway, and returns its claims.
    pub(crate) async fn verify(
        &self,
        provider: &Provider<'_>,
        id_token: &str,
        nonce: ExpectedNonce<'_>,
    ) -> Result<UserClaims, ProviderError> {
        let token = CoreIdToken::from_str(id_token)
            .map_err(|error| ProviderError::InvalidResponse(malformed().with_source(error)))?;
        let keys = self.keys(provider, KEYS_TTL).await?;
        let mut verified = self.check(provider, &keys, &token, nonce)?;
        if let Err(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        )) = verified
        {
            // The provider may have rotated its keys since they were cached.
            let keys = self.keys(provider, MIN_KEYS_REFETCH_INTERVAL).await?;
            verified = self.check(provider, &keys, &token, nonce)?;
        }
        verified.map_err(|error| {
            ProviderError::InvalidResponse(Problem::caused_by("its id_token is invalid", error))
        })?;
        decode_claims(id_token).ok_or_else(|| ProviderError::InvalidResponse(malformed()))
    }

    fn check(
        &self,
        provider: &Provider<'_>,
        keys: &IdTokenKeys,
        token: &CoreIdToken,
        nonce: ExpectedNonce<'_>,
    ) -> Result<Result<(), ClaimsVerificationError>, ProviderError> {
        let client = provider.client;
        let issuer = IssuerUrl::new(client.issuer.clone()).map_err(invalid_issuer)?;
        let (id, keys) = (ClientId::new(client.client_id.clone()), keys.keys.clone());
        let verifier = match provider.secret {
            Some(secret) => {
                let secret = ClientSecret::new(secret.expose_secret().to_owned());
                CoreIdTokenVerifier::new_confidential_client(id, secret, issuer, keys)
            }
            None => CoreIdTokenVerifier::new_public_client(id, issuer, keys),
        };
        let clock = self.clock.clone();
        let verifier = verifier.set_allowed_algs(algorithms(provider)).set_time_fn(move || {
            chrono::DateTime::from_timestamp_millis(clock.now().0)
                .unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC)
        });
        Ok(token
            .claims(&verifier, |found: Option<&Nonce>| nonce.check(found).map_err(str::to_owned))
            .map(|_| ()))
    }

    async fn keys(
        &self,
        provider: &Provider<'_>,
        at_most: Duration,
    ) -> Result<Arc<IdTokenKeys>, ProviderError> {
        let place = provider
            .discovered
            .jwks_location(provider.client)
            .ok_or_else(|| ProviderError::invalid("its metadata has no jwks_uri"))?;
        let now = self.clock.now();
        let known = self.keys.get(&place);
        if let Some(known) = known.as_ref().filter(|known| now.since(known.fetched_at) < at_most) {
            return Ok(Arc::clone(known));
        }
        let answer = match (self.verifier.fetch_json(&place).await, known) {
            (Err(JwtError::KeysUnavailable(_)), Some(known)) => return Ok(known),
            (answer, _) => answer?,
        };
        let keys = parse_json_object(&answer.body).map_err(|error| {
            ProviderError::InvalidResponse(Problem::caused_by("its key set is invalid", error))
        })?;
        let keys = Arc::new(IdTokenKeys { fetched_at: now, keys });
        self.keys.insert(place, Arc::clone(&keys));
        Ok(keys)
    }
}

fn malformed() -> Problem {
    Problem::new("its id_token is malformed")
}

/// The algorithms in the provider's metadata, except `none`. RS256 if the metadata lists none (OpenID Connect
/// Discovery, section 3).
fn algorithms(provider: &Provider<'_>) -> Vec<CoreJwsSigningAlgorithm> {
    let names = provider.discovered.metadata.id_token_signing_alg_values_supported.as_deref();
    let known = |name: &String| {
        let algorithm = serde_json::from_value(serde_json::Value::String(name.clone())).ok()?;
        (algorithm != CoreJwsSigningAlgorithm::None).then_some(algorithm)
    };
    names.map_or_else(
        || vec![CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256],
        |names| names.iter().filter_map(known).collect(),
    )
}

/// All claims of a verified id_token.
fn decode_claims(id_token: &str) -> Option<UserClaims> {
    let payload = URL_SAFE_NO_PAD.decode(id_token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_nonce_when_it_is_of_another_sign_in_or_missing_then_only_a_renewal_may_lack_it() {
        let (ours, other) = (Nonce::new("ours".to_owned()), Nonce::new("other".to_owned()));
        assert!(ExpectedNonce::Required("ours").check(Some(&ours)).is_ok());
        assert!(ExpectedNonce::Required("ours").check(Some(&other)).is_err());
        assert!(ExpectedNonce::Required("ours").check(None).is_err());
        assert!(ExpectedNonce::IfPresent(Some("ours")).check(Some(&ours)).is_ok());
        assert!(ExpectedNonce::IfPresent(Some("ours")).check(None).is_ok());
        assert!(ExpectedNonce::IfPresent(Some("ours")).check(Some(&other)).is_err());
        assert!(ExpectedNonce::IfPresent(None).check(Some(&other)).is_err());
    }
}
