//! Static credentials as sealed, published documents.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::Random;
use portcullis_config::{SecretKey, SecretValue};
use portcullis_keyring::{Purpose, SealError, SealingRing};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::VerifyError;

/// A static credential as it is published. Its sealed value is bound to its name and to its allowed hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedCredential {
    /// Name in other documents.
    pub key: SecretKey,
    /// Hosts (globs) that it may be sent to.
    pub allowed_hosts: Vec<String>,
    /// Sealed value, base64url.
    pub sealed: String,
}

impl SealedCredential {
    /// Seals a credential. Every call returns a different text; to compare two credentials,
    /// [open](Self::open) them.
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub fn seal(
        ring: &SealingRing,
        random: &Random,
        key: &SecretKey,
        value: &SecretValue,
    ) -> Result<Self, SealError> {
        let text = value.value.expose_secret().as_bytes();
        let sealed =
            ring.seal(random, Purpose::PublishedConfig, &associated_data(key, &value.allowed_hosts), text)?;
        Ok(Self {
            key: key.clone(),
            allowed_hosts: value.allowed_hosts.clone(),
            sealed: URL_SAFE_NO_PAD.encode(sealed),
        })
    }

    /// Opens the credential.
    ///
    /// # Errors
    /// When it was not sealed with this ring for this name and these hosts.
    pub fn open(&self, ring: &SealingRing) -> Result<SecretValue, VerifyError> {
        let envelope = URL_SAFE_NO_PAD.decode(&self.sealed).map_err(|_| VerifyError::Unopenable)?;
        let opened = ring
            .open(Purpose::PublishedConfig, &associated_data(&self.key, &self.allowed_hosts), &envelope)
            .map_err(|_| VerifyError::Unopenable)?;
        let text = std::str::from_utf8(&opened).map_err(|_| VerifyError::Unopenable)?;
        Ok(SecretValue { value: SecretString::from(text), allowed_hosts: self.allowed_hosts.clone() })
    }
}

fn associated_data<'a>(key: &'a SecretKey, hosts: &'a [String]) -> Vec<&'a str> {
    std::iter::once(key.0.as_str()).chain(hosts.iter().map(String::as_str)).collect()
}
