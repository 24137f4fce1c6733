//! JSON Web Key Sets (RFC 7517), and signature verification with their keys.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use crate::{Claims, JwtError, UnverifiedJwt};

/// Supported signature algorithms. No symmetric ones: a key that verifies such a signature could also create
/// it.
pub const SIGNING_ALGORITHMS: [(&str, Algorithm); 9] = [
    ("EdDSA", Algorithm::EdDSA),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
];
/// Maximum number of keys in a set.
const MAX_KEYS: usize = 64;
/// Length of a 2048-bit modulus in base64url, the minimum for RSA (RFC 7518, section 3.3).
const MIN_MODULUS_LEN: usize = 342;

/// A JSON Web Key Set (RFC 7517, section 5), reduced to keys that verify signatures here.
pub struct JwkSet(Vec<Jwk>);

struct Jwk {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding_key: DecodingKey,
}

/// Why a key set is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkSetError {
    /// The document does not have the form of RFC 7517, section 5.
    #[error("it is not a JSON Web Key Set: an object with a list of keys")]
    NotASet,
    /// More keys than [`JwkSet`] accepts.
    #[error("it has more than 64 keys")]
    TooMany,
    /// It contains a key that can sign.
    #[error(
        "it contains a private or symmetric key; create a new key, because this one is exposed, and publish only its public part"
    )]
    Private,
    /// No key verifies signatures.
    #[error("none of its keys verifies signatures here (RSA of 2048 bits or more, P-256, P-384 or Ed25519)")]
    NoKey,
}

impl JwkSet {
    /// Parses a key set.
    pub fn read(document: &Value) -> Result<Self, JwkSetError> {
        let keys = document.get("keys").and_then(Value::as_array).ok_or(JwkSetError::NotASet)?;
        if keys.len() > MAX_KEYS {
            return Err(JwkSetError::TooMany);
        }
        // RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1.
        if keys.iter().any(|key| ["d", "p", "q", "k"].iter().any(|member| key.get(member).is_some())) {
            return Err(JwkSetError::Private);
        }
        let keys: Vec<_> = keys.iter().filter_map(Jwk::read).collect();
        if keys.is_empty() { Err(JwkSetError::NoKey) } else { Ok(Self(keys)) }
    }

    /// Verifies the signature with these keys and returns the claims.
    pub fn verify(&self, assertion: &UnverifiedJwt<'_>) -> Result<Claims, JwtError> {
        let algorithm = assertion.algorithm();
        let named = |key: &&Jwk| assertion.key_id().is_none_or(|id| key.id.as_deref() == Some(id));
        let mut error = JwtError::UnknownKey;
        for key in self.0.iter().filter(named) {
            if !key.algorithms.contains(&algorithm) {
                error = JwtError::Algorithm;
                continue;
            }
            let mut validation = Validation::new(algorithm);
            // claims.rs checks times and audience with the gateway's own clock and names.
            validation.validate_exp = false;
            validation.validate_aud = false;
            validation.required_spec_claims.clear();
            match jsonwebtoken::decode(assertion.token(), &key.decoding_key, &validation) {
                Ok(token) => return Ok(token.claims),
                Err(_) => error = JwtError::Signature,
            }
        }
        // The token names no key, so the right one may be missing from this copy of the set.
        Err(if assertion.key_id().is_none() { JwtError::UnknownKey } else { error })
    }
}

impl Jwk {
    /// Parses a key that verifies signatures; `None` for any other.
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops").and_then(Value::as_array)
            && !operations.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let sized = |name: &str, length: usize| text(name).filter(|text| text.len() == length);
        let (verifies, algorithms) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let modulus = text("n").filter(|modulus| modulus.len() >= MIN_MODULUS_LEN)?;
                let algorithms = [
                    Algorithm::RS256,
                    Algorithm::RS384,
                    Algorithm::RS512,
                    Algorithm::PS256,
                    Algorithm::PS384,
                    Algorithm::PS512,
                ];
                (DecodingKey::from_rsa_components(modulus, text("e")?), algorithms.to_vec())
            }
            ("EC", Some("P-256")) => {
                (DecodingKey::from_ec_components(sized("x", 43)?, sized("y", 43)?), vec![Algorithm::ES256])
            }
            ("EC", Some("P-384")) => {
                (DecodingKey::from_ec_components(sized("x", 64)?, sized("y", 64)?), vec![Algorithm::ES384])
            }
            ("OKP", Some("Ed25519")) => {
                (DecodingKey::from_ed_components(sized("x", 43)?), vec![Algorithm::EdDSA])
            }
            _ => return None,
        };
        let mut algorithms = algorithms;
        if let Some(only) = text("alg") {
            algorithms.retain(|algorithm| SIGNING_ALGORITHMS.contains(&(only, *algorithm)));
        }
        Some(Self { id: text("kid").map(ToOwned::to_owned), algorithms, decoding_key: verifies.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Signer, read};

    fn set(keys: &[Value]) -> Result<JwkSet, JwkSetError> {
        JwkSet::read(&json!({ "keys": keys }))
    }

    #[test]
    fn given_a_key_of_each_kind_when_it_signs_by_each_of_its_algorithms_then_that_verifies() {
        for signer in [Signer::ed25519(), Signer::p256(), Signer::p384(), Signer::rsa()] {
            let keys = set(&[signer.jwk(&json!({}))]).unwrap();
            for algorithm in signer.algorithms() {
                let token = signer.sign(*algorithm, None, &json!({"sub": "a"}));
                assert_eq!(keys.verify(&read(&token)).unwrap().text("sub").unwrap(), "a", "{algorithm:?}");
                let changed = format!("{}A", token.trim_end_matches(|last| last != '.'));
                assert!(keys.verify(&read(&changed)).is_err(), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn given_a_key_that_says_what_it_is_for_when_it_is_something_else_then_it_is_passed_over() {
        let signer = Signer::p256();
        for (more, verifies) in [
            (json!({"use": "sig"}), true),
            (json!({"use": "enc"}), false),
            (json!({"key_ops": ["verify"]}), true),
            (json!({"key_ops": ["encrypt", "verify"]}), true),
            (json!({"key_ops": ["encrypt"]}), false),
            (json!({"key_ops": []}), false),
            (json!({"alg": "ES256"}), true),
            (json!({"crv": "P-384"}), false),
            (json!({"crv": "P-521"}), false),
            (json!({"kty": "OKP"}), false),
        ] {
            assert_eq!(set(&[signer.jwk(&more)]).is_ok(), verifies, "{more}");
        }
        let keys = set(&[signer.jwk(&json!({"alg": "ES384"}))]).unwrap();
        let token = signer.sign(Algorithm::ES256, None, &json!({}));
        assert!(keys.verify(&read(&token)).is_err(), "promised for another algorithm");
    }

    #[test]
    fn given_a_key_when_it_is_too_short_or_of_another_length_than_its_curve_then_it_is_passed_over() {
        let rsa = Signer::rsa();
        let modulus = rsa.jwk(&json!({}))["n"].as_str().unwrap().to_owned();
        assert_eq!(modulus.len(), MIN_MODULUS_LEN);
        assert_eq!(set(&[rsa.jwk(&json!({"n": modulus[1..]}))]).err(), Some(JwkSetError::NoKey));
        for signer in [Signer::ed25519(), Signer::p256(), Signer::p384()] {
            let x = signer.jwk(&json!({}))["x"].as_str().unwrap().to_owned();
            for x in [&x[1..], &format!("{x}A"), ""] {
                assert_eq!(set(&[signer.jwk(&json!({"x": x}))]).err(), Some(JwkSetError::NoKey), "{x}");
            }
        }
    }

    #[test]
    fn given_a_set_when_it_has_too_many_keys_or_none_or_one_that_signs_then_it_is_refused() {
        let jwk = Signer::ed25519().jwk(&json!({}));
        assert!(set(&vec![jwk.clone(); MAX_KEYS]).is_ok());
        assert_eq!(set(&vec![jwk.clone(); MAX_KEYS + 1]).err(), Some(JwkSetError::TooMany));
        assert_eq!(set(&[]).err(), Some(JwkSetError::NoKey));
        assert_eq!(JwkSet::read(&json!([jwk])).err(), Some(JwkSetError::NotASet));
        for member in ["d", "p", "q", "k"] {
            let mut private = jwk.clone();
            private[member] = json!("secret");
            assert_eq!(set(&[jwk.clone(), private]).err(), Some(JwkSetError::Private), "{member}");
        }
    }

    #[test]
    fn given_a_token_that_names_its_key_when_another_has_signed_it_then_no_other_key_is_tried() {
        let (one, two) = (Signer::ed25519(), Signer::ed25519());
        let keys = set(&[one.jwk(&json!({"kid": "one"})), two.jwk(&json!({"kid": "two"}))]).unwrap();
        let by_two = |key_id| two.sign(Algorithm::EdDSA, key_id, &json!({}));
        assert!(keys.verify(&read(&by_two(Some("two")))).is_ok());
        assert!(keys.verify(&read(&by_two(None))).is_ok(), "each is tried");
        let error = |key_id| keys.verify(&read(&by_two(key_id))).err();
        assert!(matches!(error(Some("one")), Some(JwtError::Signature)));
        assert!(matches!(error(Some("three")), Some(JwtError::UnknownKey)));
        let by_ec = Signer::p256().sign(Algorithm::ES256, Some("one"), &json!({}));
        assert!(matches!(keys.verify(&read(&by_ec)).err(), Some(JwtError::Algorithm)));
    }
}
