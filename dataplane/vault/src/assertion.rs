//! What a client's private key signs, so that there is no secret to send (RFC 7523 section 2.2).

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portcullis_ambient::{Clock, NoRandomness, Random};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::VaultParts;

/// The `client_assertion_type`.
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// It is shown at once.
const LIFETIME_SECONDS: u64 = 60;

type ReadPem = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;

/// What each kind of key signs with. That of RSA is what every server verifies.
const ALGORITHMS: [(Algorithm, ReadPem); 4] = [
    (Algorithm::ES256, EncodingKey::from_ec_pem),
    (Algorithm::ES384, EncodingKey::from_ec_pem),
    (Algorithm::EdDSA, EncodingKey::from_ed_pem),
    (Algorithm::RS256, EncodingKey::from_rsa_pem),
];

/// There is no assertion to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssertionError {
    #[error(
        "the value of the client's secretRef is no private key that can sign; it takes one in PEM (PKCS #8), EC of P-256 or P-384, \
         Ed25519, or RSA of 2048 bits or more"
    )]
    NoKey,
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Signs for one authorization server.
pub(crate) struct Assertions {
    header: Header,
    key: EncodingKey,
    audience: String,
    clock: Clock,
    random: Random,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

impl Assertions {
    /// With a key in PEM, for the server with this identifier: an assertion that names the server and no endpoint of it is good
    /// nowhere else.
    pub(crate) fn new(
        pem: &SecretString,
        key_id: Option<String>,
        issuer: &str,
        parts: &VaultParts,
    ) -> Result<Self, AssertionError> {
        let pem = pem.expose_secret().trim().as_bytes();
        // Only a signature shows whether key and algorithm go together.
        let (algorithm, key) = ALGORITHMS
            .into_iter()
            .filter_map(|(algorithm, read)| Some((algorithm, read(pem).ok()?)))
            .find(|(algorithm, key)| jsonwebtoken::crypto::sign(b"", key, *algorithm).is_ok())
            .ok_or(AssertionError::NoKey)?;
        let header = Header { kid: key_id, ..Header::new(algorithm) };
        let (clock, random) = (parts.clock.clone(), parts.random.clone());
        Ok(Self { header, key, audience: issuer.to_owned(), clock, random })
    }

    /// Another one at each call: a server takes each once.
    pub(crate) fn sign(&self, client_id: &str) -> Result<SecretString, AssertionError> {
        let now = self.clock.now();
        let claims = Claims {
            iss: client_id,
            sub: client_id,
            aud: &self.audience,
            jti: self.random.token()?,
            iat: now.seconds(),
            exp: now.after_seconds(LIFETIME_SECONDS).seconds(),
        };
        let assertion = jsonwebtoken::encode(&self.header, &claims, &self.key);
        assertion.map(SecretString::from).map_err(|_| AssertionError::NoKey)
    }
}
