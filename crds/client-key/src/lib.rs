//! The private key of a client that authenticates with signed assertions instead of a secret (RFC 7523
//! section 2.2). The compiler validates such keys when a Secret is applied; the data plane signs with them.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde::Serialize;

/// First line of a PKCS #8 key, which contains its own algorithm (RFC 7468 section 10).
const PKCS8_HEADER: &str = "-----BEGIN PRIVATE KEY-----";

type PemParser = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;

/// Signature algorithm of each kind of key. For RSA it is RS256, which every server supports.
const ALGORITHMS: [(Algorithm, PemParser); 4] = [
    (Algorithm::ES256, EncodingKey::from_ec_pem),
    (Algorithm::ES384, EncodingKey::from_ec_pem),
    (Algorithm::EdDSA, EncodingKey::from_ed_pem),
    (Algorithm::RS256, EncodingKey::from_rsa_pem),
];

/// The key cannot sign. The message completes a sentence about the value and does not quote it.
#[derive(Debug, thiserror::Error)]
#[error(
    "is not a usable private key; use PEM in PKCS #8 (it starts with -----BEGIN PRIVATE KEY-----; openssl pkcs8 -topk8 -nocrypt \
     converts other formats) with EC P-256 or P-384, Ed25519, or RSA with at least 2048 bits"
)]
pub struct InvalidClientKey;

/// A private key that has passed a test signature.
pub struct ClientKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl ClientKey {
    /// Reads a PEM key of a kind that [`InvalidClientKey`] lists.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidClientKey> {
        let pem = pem.trim();
        if !pem.starts_with(PKCS8_HEADER) {
            return Err(InvalidClientKey);
        }
        // Only a signature shows whether key and algorithm match.
        ALGORITHMS
            .into_iter()
            .filter_map(|(algorithm, read)| Some(Self { algorithm, key: read(pem.as_bytes()).ok()? }))
            .find(|Self { algorithm, key }| jsonwebtoken::crypto::sign(b"", key, *algorithm).is_ok())
            .ok_or(InvalidClientKey)
    }

    /// Signs a JWT with these claims. `key_id` is the `kid` header, with which the verifier selects the
    /// client's key.
    pub fn sign(
        &self,
        key_id: Option<String>,
        claims: &impl Serialize,
    ) -> Result<SecretString, InvalidClientKey> {
        let header = Header { kid: key_id, ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).map(SecretString::from).map_err(|_| InvalidClientKey)
    }
}
