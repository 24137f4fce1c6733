use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::UnixMillis;
use portcullis_store::StoreError;
use sha2::{Digest as _, Sha256};

use crate::{Claims, JwtError, JwtVerifier};

/// Longest id that is taken.
const MAX_ID_LEN: usize = 1024;

/// Why an assertion may not be used.
pub enum ReplayError {
    /// It has no id, or was used.
    Assertion(JwtError),
    /// It cannot be known.
    Store(StoreError),
}

impl JwtVerifier {
    /// Uses an assertion up: of all that come with this `iss` and `jti`, to whichever replica, one counts. Only for one whose
    /// signature was verified: what strangers write is not remembered. `until` is what [`Claims::check_times`] says.
    ///
    /// # Errors
    /// When it has no `iss` and `jti`, was used before, or the store does not answer.
    pub async fn use_once(&self, claims: &Claims, until: UnixMillis) -> Result<(), ReplayError> {
        let id = replay_key(claims).map_err(ReplayError::Assertion)?;
        if self.store.use_assertion(&id, until.0).await.map_err(ReplayError::Store)? {
            Ok(())
        } else {
            Err(ReplayError::Assertion(JwtError::Reused))
        }
    }

    /// That an assertion was not used before, without using it up: for what may be done twice, and must not be lost by half.
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

/// What an assertion is known by.
fn replay_key(claims: &Claims) -> Result<String, JwtError> {
    let (issuer, id) = (claims.text("iss")?, claims.text("jti")?);
    if id.len() > MAX_ID_LEN {
        return Err(JwtError::Claim("jti"));
    }
    // The length keeps one pair from reading like another.
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
