//! What a client's private key signs, so that there is no secret to send (RFC 7523 section 2.2).

use portcullis_client_key::{ClientKey, InvalidClientKey};
use portcullis_clock::{Clock, NoRandomness, Random};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::BrokerDependencies;

/// The `client_assertion_type`.
pub(crate) const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// It is shown at once.
const LIFETIME_SECONDS: u64 = 60;

/// There is no assertion to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientAssertionError {
    #[error("the value of the client's secretRef {0}")]
    NoKey(#[from] InvalidClientKey),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Signs for one authorization server.
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
    /// With a key in PEM, for the server with this identifier: an assertion that names the server and no endpoint of it is good
    /// nowhere else.
    pub(crate) fn new(
        pem: &SecretString,
        key_id: Option<String>,
        issuer: &str,
        parts: &BrokerDependencies,
    ) -> Result<Self, ClientAssertionError> {
        let key = ClientKey::from_pem(pem.expose_secret())?;
        let (clock, random) = (parts.clock.clone(), parts.random.clone());
        Ok(Self { key, key_id, audience: issuer.to_owned(), clock, random })
    }

    /// Another one at each call: a server takes each once.
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
