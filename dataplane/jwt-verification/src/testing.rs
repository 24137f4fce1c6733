//! Test keys of every supported kind, and tokens that they sign.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{Claims, UnverifiedJwt};

pub(crate) struct Signer {
    algorithms: Vec<Algorithm>,
    encoding_key: EncodingKey,
    jwk: Value,
}

impl Signer {
    pub(crate) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self {
            algorithms: vec![Algorithm::EdDSA],
            encoding_key: EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref()),
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key().as_ref())}),
        }
    }

    pub(crate) fn p256() -> Self {
        Self::ec("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::ES256)
    }

    pub(crate) fn p384() -> Self {
        Self::ec("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::ES384)
    }

    /// The public key is an uncompressed point: one byte for the format, then both coordinates.
    fn ec(curve: &str, signing: &'static EcdsaSigningAlgorithm, algorithm: Algorithm) -> Self {
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        Self {
            algorithms: vec![algorithm],
            encoding_key: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()),
            jwk: json!({"kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y)}),
        }
    }

    /// A key of 2048 bits.
    pub(crate) fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        let public = pair.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        Self {
            algorithms: vec![
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            encoding_key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
            jwk: json!({
                "kty": "RSA",
                "n": encoded(n.big_endian_without_leading_zero()),
                "e": encoded(e.big_endian_without_leading_zero()),
            }),
        }
    }

    pub(crate) fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// The public key, with additional members.
    pub(crate) fn jwk(&self, more: &Value) -> Value {
        let mut jwk = self.jwk.clone();
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, key_id: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(algorithm);
        header.kid = key_id.map(ToOwned::to_owned);
        jsonwebtoken::encode(&header, claims, &self.encoding_key).unwrap()
    }
}

/// Claims as if a key had signed them.
pub(crate) fn claims(said: Value) -> Claims {
    serde_json::from_value(said).unwrap()
}

/// Parses a token that was just created.
pub(crate) fn read(token: &str) -> UnverifiedJwt<'_> {
    UnverifiedJwt::read(token).unwrap()
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
