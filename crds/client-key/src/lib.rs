//! The private key of a client that signs in place of sending a secret (RFC 7523 section 2.2): what may be one, so that a Secret
//! without is refused when it is applied, and what it signs.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde::Serialize;

/// How PEM begins that says itself of which kind its key is (RFC 7468 section 10).
const PKCS8_HEADER: &str = "-----BEGIN PRIVATE KEY-----";

type PemParser = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;

/// What each kind of key signs with. That of RSA is what every server verifies.
const ALGORITHMS: [(Algorithm, PemParser); 4] = [
    (Algorithm::ES256, EncodingKey::from_ec_pem),
    (Algorithm::ES384, EncodingKey::from_ec_pem),
    (Algorithm::EdDSA, EncodingKey::from_ed_pem),
    (Algorithm::RS256, EncodingKey::from_rsa_pem),
];

/// What was given cannot sign. Said of a value, which is not quoted.
#[derive(Debug, thiserror::Error)]
#[error(
    "is no private key that can sign: write one in PEM (PKCS #8, which begins with -----BEGIN PRIVATE KEY-----; openssl pkcs8 -topk8 \
     -nocrypt converts others), EC of P-256 or P-384, Ed25519, or RSA of 2048 bits or more"
)]
pub struct InvalidClientKey;

/// A key that has been seen to sign.
pub struct ClientKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl ClientKey {
    /// Reads PEM of any kind that [`InvalidClientKey`] names.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidClientKey> {
        let pem = pem.trim();
        if !pem.starts_with(PKCS8_HEADER) {
            return Err(InvalidClientKey);
        }
        // Only a signature shows whether key and algorithm go together.
        ALGORITHMS
            .into_iter()
            .filter_map(|(algorithm, read)| Some(Self { algorithm, key: read(pem.as_bytes()).ok()? }))
            .find(|Self { algorithm, key }| jsonwebtoken::crypto::sign(b"", key, *algorithm).is_ok())
            .ok_or(InvalidClientKey)
    }

    /// A JWT of these claims; `key_id` tells the verifier which of the client's keys it is.
    pub fn sign(
        &self,
        key_id: Option<String>,
        claims: &impl Serialize,
    ) -> Result<SecretString, InvalidClientKey> {
        let header = Header { kid: key_id, ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).map(SecretString::from).map_err(|_| InvalidClientKey)
    }
}
