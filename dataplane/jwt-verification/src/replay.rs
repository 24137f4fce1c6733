//! Replay protection: each assertion is accepted once across all replicas.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::UnixMillis;
use portcullis_store::{Store, StoreError};
use sha2::{Digest as _, Sha256};

use crate::{Claims, JwtError, JwtVerifier};

/// Maximum length of a `jti`, in bytes.
const MAX_ID_LEN: usize = 1024;

/// Why an assertion cannot be used.
pub enum ReplayError {
    /// It has no valid id, or was used before.
    Assertion(JwtError),
    /// The store failed, so it is unknown whether it was used.
    Store(StoreError),
}

/// A verified assertion that was not used before. It does not count as used until
/// [`use_up`](Self::use_up): a request that fails for another reason stores nothing and may repeat it.
#[derive(Clone)]
pub struct UnusedAssertion {
    store: Store,
    id: String,
    until: UnixMillis,
}

impl UnusedAssertion {
    /// Marks the assertion as used. Succeeds once across all replicas. Call it after everything else about
    /// the request was verified, and before the request has an effect.
    ///
    /// # Errors
    /// If another request has used it meanwhile, or the store fails.
    pub async fn use_up(&self) -> Result<(), ReplayError> {
        if self.store.use_assertion(&self.id, self.until.0).await.map_err(ReplayError::Store)? {
            Ok(())
        } else {
            Err(ReplayError::Assertion(JwtError::Reused))
        }
    }
}

impl JwtVerifier {
    /// Checks that a verified assertion was not used before. `until` comes from [`Claims::check_times`].
    ///
    /// # Errors
    /// As [`use_once`](Self::use_once).
    pub async fn unused(&self, claims: &Claims, until: UnixMillis) -> Result<UnusedAssertion, ReplayError> {
        self.check_unused(claims).await?;
        let id = replay_key(claims).map_err(ReplayError::Assertion)?;
        Ok(UnusedAssertion { store: self.store.clone(), id, until })
    }

    /// Marks an assertion as used. For each pair of `iss` and `jti` this succeeds once across all replicas.
    /// Call it only after the signature is verified, so unauthenticated requests store nothing. `until` comes
    /// from [`Claims::check_times`].
    ///
    /// # Errors
    /// If `iss` or `jti` is missing, the assertion was used before, or the store fails.
    pub async fn use_once(&self, claims: &Claims, until: UnixMillis) -> Result<(), ReplayError> {
        let id = replay_key(claims).map_err(ReplayError::Assertion)?;
        if self.store.use_assertion(&id, until.0).await.map_err(ReplayError::Store)? {
            Ok(())
        } else {
            Err(ReplayError::Assertion(JwtError::Reused))
        }
    }

    /// Checks that an assertion was not used before, without marking it as used. For operations that may be
    /// repeated and must not be lost halfway.
    ///
    /// # Errors
    /// As [`use_once`](Self::use_once).
    pub async fn check_unused(&self, claims: &Claims) -> Result<(), ReplayError> {
        let id = replay_key(claims).map_err(ReplayError::Assertion)?;
        if self.store.is_assertion_used(&id).await.map_err(ReplayError::Store)? {
            return Err(ReplayError::Assertion(JwtError::Reused));
        }
        Ok(())
    }
}

/// Key of an assertion in the store.
fn replay_key(claims: &Claims) -> Result<String, JwtError> {
    let (issuer, id) = (claims.text("iss")?, claims.text("jti")?);
    if id.len() > MAX_ID_LEN {
        return Err(JwtError::Claim("jti"));
    }
    // The length prefix keeps different pairs distinct.
    Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{} {issuer} {id}", issuer.len()))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::claims;

    #[test]
    fn given_an_assertion_when_it_has_no_id_or_an_endless_one_then_it_cannot_be_used() {
        let named = |jti: &str| replay_key(&claims(json!({"iss": "a", "jti": jti})));
        assert!(named(&"x".repeat(MAX_ID_LEN)).is_ok());
        for jti in ["", &"x".repeat(MAX_ID_LEN + 1)] {
            assert!(matches!(named(jti), Err(JwtError::Claim("jti"))), "{}", jti.len());
        }
        assert!(matches!(replay_key(&claims(json!({"jti": "x"}))), Err(JwtError::Claim("iss"))));
    }

    #[test]
    fn given_two_pairs_of_issuer_and_id_when_they_read_alike_then_they_are_two() {
        let known = |iss: &str, jti: &str| replay_key(&claims(json!({"iss": iss, "jti": jti}))).unwrap();
        assert_eq!(known("a", "b c"), known("a", "b c"));
        assert_ne!(known("a", "b c"), known("a b", "c"));
    }
}
