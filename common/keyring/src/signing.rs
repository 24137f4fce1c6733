//! Signatures of tokens that the gateway issues.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::key_entry::DecodedKey;
use crate::{KeyDocumentError, Ring};

/// Ed25519 keys that sign and verify JWTs (RFC 8037).
pub struct SigningRing {
    keys: ArcSwap<Vec<SigningKey>>,
}

struct SigningKey {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Vec<u8>,
}

/// The token was not issued by this gateway, or could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayTokenError {
    /// Malformed, wrong type or algorithm, unknown key, or the signature does not verify.
    #[error("the token was not issued by this gateway")]
    NotOurs,
    /// The claims cannot be serialized.
    #[error("the token could not be signed")]
    Unsignable,
}

impl SigningRing {
    pub(crate) fn new(seeds: Vec<DecodedKey>) -> Result<Self, KeyDocumentError> {
        if seeds.is_empty() {
            return Err(KeyDocumentError::EmptyRing(Ring::Signing));
        }
        let keys =
            seeds.into_iter().map(|seed| SigningKey::new(seed.id, &seed.bytes)).collect::<Result<_, _>>()?;
        Ok(Self { keys: ArcSwap::from_pointee(keys) })
    }

    pub(crate) fn replace_with(&self, other: &Self) {
        self.keys.store(Arc::clone(&other.keys.load()));
    }

    /// Signs claims with the current key. `typ` states the type of token (`at+jwt`, RFC 9068 section 2.1), so
    /// one type is never accepted as another.
    ///
    /// # Errors
    /// If the claims are not a JSON object.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, GatewayTokenError> {
        let keys = self.keys.load();
        let key = keys.first().ok_or(GatewayTokenError::Unsignable)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.id.clone());
        jsonwebtoken::encode(&header, claims, &key.encoding).map_err(|_| GatewayTokenError::Unsignable)
    }

    /// Verifies signature, algorithm, key id and type, and parses the claims. The caller checks times, issuer
    /// and audience.
    ///
    /// # Errors
    /// If any of these checks fails.
    pub fn verify<C: DeserializeOwned>(&self, typ: &str, token: &str) -> Result<C, GatewayTokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| GatewayTokenError::NotOurs)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(typ) {
            return Err(GatewayTokenError::NotOurs);
        }
        let id = header.kid.ok_or(GatewayTokenError::NotOurs)?;
        let keys = self.keys.load();
        let key = keys.iter().find(|key| key.id == id).ok_or(GatewayTokenError::NotOurs)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let token = jsonwebtoken::decode::<C>(token, &key.decoding, &validation)
            .map_err(|_| GatewayTokenError::NotOurs)?;
        Ok(token.claims)
    }

    /// The public keys, including announced ones, as a JWK set (RFC 7517, RFC 8037 section 2).
    #[must_use]
    pub fn jwks(&self) -> Value {
        let keys: Vec<_> = self
            .keys
            .load()
            .iter()
            .map(|key| {
                json!({
                    "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id,
                    "x": URL_SAFE_NO_PAD.encode(&key.public),
                })
            })
            .collect();
        json!({ "keys": keys })
    }
}

impl SigningKey {
    fn new(id: String, seed: &[u8; 32]) -> Result<Self, KeyDocumentError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|source| KeyDocumentError::SigningKey { id: id.clone(), source })?;
        let pkcs8 = pair
            .to_pkcs8()
            .map_err(|source| KeyDocumentError::SigningKeyEncoding { id: id.clone(), source })?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self {
            id,
            encoding: EncodingKey::from_ed_der(pkcs8.as_ref()),
            decoding: DecodingKey::from_ed_der(&public),
            public,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[(&str, u8)]) -> SigningRing {
        SigningRing::new(ids.iter().map(|(id, key)| DecodedKey::testing(id, *key)).collect()).unwrap()
    }

    #[test]
    fn given_a_signed_token_when_the_key_has_moved_back_in_the_ring_then_it_verifies() {
        let token = ring(&[("a", 1)]).sign("at+jwt", &json!({"sub": "ana"})).unwrap();
        let claims: Value = ring(&[("b", 2), ("a", 1)]).verify("at+jwt", &token).unwrap();
        assert_eq!(claims["sub"], "ana");
    }

    /// Requirements: as.token.forged
    #[test]
    fn given_a_token_of_another_type_or_key_or_algorithm_then_it_is_not_ours() {
        let ours = ring(&[("a", 1)]);
        let other_type = ours.sign("jwt", &json!({})).unwrap();
        let other_key = ring(&[("a", 9)]).sign("at+jwt", &json!({})).unwrap();
        let other_name = ring(&[("b", 1)]).sign("at+jwt", &json!({})).unwrap();
        let unsigned =
            format!("{}.e30.", URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"at+jwt","kid":"a"}"#));
        let mut confused = Header::new(Algorithm::HS256);
        (confused.typ, confused.kid) = (Some("at+jwt".to_owned()), Some("a".to_owned()));
        let confused = jsonwebtoken::encode(
            &confused,
            &json!({}),
            &EncodingKey::from_secret(&ours.keys.load()[0].public),
        )
        .unwrap();
        for token in [other_type, other_key, other_name, unsigned, confused, String::new(), "a.b".to_owned()]
        {
            assert_eq!(ours.verify::<Value>("at+jwt", &token), Err(GatewayTokenError::NotOurs), "{token}");
        }
    }
}
