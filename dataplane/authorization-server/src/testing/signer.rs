//! Signs JWTs for tests, and serves documents on loopback.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

/// Signs with an Ed25519 key.
pub(crate) struct Signer {
    id: String,
    encoding: EncodingKey,
    public: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(id: &str, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let encoding = EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref());
        Self { id: id.to_owned(), encoding, public: pair.public_key().as_ref().to_vec() }
    }

    /// The public key, as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": URL_SAFE_NO_PAD.encode(&self.public)})
    }

    pub(crate) fn jwks(&self) -> Value {
        json!({"keys": [self.jwk()]})
    }

    pub(crate) fn sign(&self, typ: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = typ.map(ToOwned::to_owned);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }

    /// Signs with a critical extension in the header, which verifiers must understand (RFC 7515, section
    /// 4.1.11).
    pub(crate) fn sign_critical(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.id.clone());
        header.crit = Some(vec!["https://elsewhere.example/extension".to_owned()]);
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }

    /// An attack on verifiers that take the algorithm from the header: a MAC with the public key as the
    /// secret.
    pub(crate) fn sign_with_public_key_as_secret(&self, typ: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = typ.map(ToOwned::to_owned);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&self.public)).unwrap()
    }

    /// Verifies a token of this signer. Returns its claims.
    pub(crate) fn open(&self, token: &str) -> Option<Value> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        (validation.validate_exp, validation.validate_aud) = (false, false);
        validation.required_spec_claims.clear();
        jsonwebtoken::decode(token, &DecodingKey::from_ed_der(&self.public), &validation)
            .ok()
            .map(|token| token.claims)
    }
}

/// Serves a router on loopback until the test ends. Returns the base URL.
pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}
