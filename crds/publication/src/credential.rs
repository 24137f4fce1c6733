use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_ambient::Random;
use portcullis_contract::{SecretKey, SecretValue};
use portcullis_keys::{Purpose, SealError, SealingRing};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::Refused;

/// A static credential as it is published: its value sealed, bound to its name and to the hosts that it may go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialDoc {
    /// What documents call it.
    pub key: SecretKey,
    /// Hosts that it may be sent to.
    pub allowed_hosts: Vec<String>,
    /// The value, base64url.
    pub sealed: String,
}

impl CredentialDoc {
    /// Seals a credential. Two of the same value differ; compare what they [open](Self::open) to.
    ///
    /// # Errors
    /// Without randomness.
    pub fn seal(
        ring: &SealingRing,
        random: &Random,
        key: &SecretKey,
        value: &SecretValue,
    ) -> Result<Self, SealError> {
        let text = value.value.expose_secret().as_bytes();
        let sealed = ring.seal(random, Purpose::Publication, &bound_to(key, &value.allowed_hosts), text)?;
        Ok(Self {
            key: key.clone(),
            allowed_hosts: value.allowed_hosts.clone(),
            sealed: URL_SAFE_NO_PAD.encode(sealed),
        })
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it was not sealed by this ring for this name and these hosts.
    pub fn open(&self, ring: &SealingRing) -> Result<SecretValue, Refused> {
        let envelope = URL_SAFE_NO_PAD.decode(&self.sealed).map_err(|_| Refused::Unopenable)?;
        let opened = ring
            .open(Purpose::Publication, &bound_to(&self.key, &self.allowed_hosts), &envelope)
            .map_err(|_| Refused::Unopenable)?;
        let text = std::str::from_utf8(&opened).map_err(|_| Refused::Unopenable)?;
        Ok(SecretValue { value: SecretString::from(text), allowed_hosts: self.allowed_hosts.clone() })
    }
}

fn bound_to<'a>(key: &'a SecretKey, hosts: &'a [String]) -> Vec<&'a str> {
    std::iter::once(key.0.as_str()).chain(hosts.iter().map(String::as_str)).collect()
}
