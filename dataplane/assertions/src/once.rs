use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_ambient::Instant;
use portcullis_store::StoreError;
use sha2::{Digest as _, Sha256};

use crate::{AssertionError, Claims, Verifier};

/// Longest id that is taken.
const LONGEST_ID: usize = 1024;

/// Why an assertion may not be used.
pub enum OnceError {
    /// It has no id, or was used.
    Assertion(AssertionError),
    /// It cannot be known.
    Store(StoreError),
}

impl Verifier {
    /// Uses an assertion up: of all that come with this `iss` and `jti`, to whichever replica, one counts. Only for one whose
    /// signature was verified: what strangers write is not remembered. `until` is what [`Claims::check_times`] says.
    ///
    /// # Errors
    /// When it has no `iss` and `jti`, was used before, or the store does not answer.
    pub async fn use_once(&self, claims: &Claims, until: Instant) -> Result<(), OnceError> {
        let id = id(claims).map_err(OnceError::Assertion)?;
        if self.store.use_assertion(&id, until.0).await.map_err(OnceError::Store)? {
            Ok(())
        } else {
            Err(OnceError::Assertion(AssertionError::Reused))
        }
    }

    /// That an assertion was not used before, without using it up: for what may be done twice, and must not be lost by half.
    ///
    /// # Errors
    /// As [`use_once`](Self::use_once).
    pub async fn check_unused(&self, claims: &Claims) -> Result<(), OnceError> {
        let id = id(claims).map_err(OnceError::Assertion)?;
        if self.store.is_assertion_used(&id).await.map_err(OnceError::Store)? {
            return Err(OnceError::Assertion(AssertionError::Reused));
        }
        Ok(())
    }
}

/// What an assertion is known by.
fn id(claims: &Claims) -> Result<String, AssertionError> {
    let (issuer, id) = (claims.text("iss")?, claims.text("jti")?);
    if id.len() > LONGEST_ID {
        return Err(AssertionError::Claim("jti"));
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
        let named = |jti: &str| id(&claims(json!({"iss": "a", "jti": jti})));
        assert!(named(&"x".repeat(LONGEST_ID)).is_ok());
        for jti in ["", &"x".repeat(LONGEST_ID + 1)] {
            assert!(matches!(named(jti), Err(AssertionError::Claim("jti"))), "{}", jti.len());
        }
        assert!(matches!(id(&claims(json!({"jti": "x"}))), Err(AssertionError::Claim("iss"))));
    }

    #[test]
    fn given_two_pairs_of_issuer_and_id_when_they_read_alike_then_they_are_two() {
        let known = |iss: &str, jti: &str| id(&claims(json!({"iss": iss, "jti": jti}))).unwrap();
        assert_eq!(known("a", "b c"), known("a", "b c"));
        assert_ne!(known("a", "b c"), known("a b", "c"));
    }
}
