//! Client assertions signed with a private key, used instead of a client secret (RFC 7523 section 2.2).

use portcullis_client_key::{ClientKey, InvalidClientKey};
use portcullis_clock::{Clock, NoRandomness, Random};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

/// Value of `client_assertion_type`.
pub(crate) const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Lifetime of an assertion. It is sent immediately.
const LIFETIME_SECONDS: u64 = 60;

/// No assertion could be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientAssertionError {
    #[error("the value of the client's secretRef {0}")]
    NoKey(#[from] InvalidClientKey),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Signs assertions for one authorization server.
pub(crate) struct ClientAssertionSigner {
    key: ClientKey,
    key_id: Option<String>,
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

impl ClientAssertionSigner {
    /// Takes a private key in PEM. The audience is the server's issuer, so the assertion is valid at no other
    /// server.
    pub(crate) fn new(
        pem: &SecretString,
        key_id: Option<String>,
        issuer: &str,
        clock: Clock,
        random: Random,
    ) -> Result<Self, ClientAssertionError> {
        let key = ClientKey::from_pem(pem.expose_secret())?;
        Ok(Self { key, key_id, audience: issuer.to_owned(), clock, random })
    }

    /// Signs a new assertion for each call, because a server accepts each only once.
    pub(crate) fn sign(&self, client_id: &str) -> Result<SecretString, ClientAssertionError> {
        let now = self.clock.now();
        let claims = Claims {
            iss: client_id,
            sub: client_id,
            aud: &self.audience,
            jti: self.random.token()?,
            iat: now.seconds(),
            exp: now.after_seconds(LIFETIME_SECONDS).seconds(),
        };
        Ok(self.key.sign(self.key_id.clone(), &claims)?)
    }
}
