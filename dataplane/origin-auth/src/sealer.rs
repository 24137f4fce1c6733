//! Seals the secrets that this crate stores: tokens, client secrets and connect flows.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::Random;
use portcullis_keyring::{Keyring, Purpose, SealError};
use zeroize::Zeroizing;

use crate::BrokerDependencies;

/// Seals and opens base64url envelopes. An envelope opens only with the data that it was bound to.
pub(crate) struct CredentialSealer {
    keys: Arc<Keyring>,
    random: Random,
}

impl CredentialSealer {
    pub(crate) fn new(dependencies: &BrokerDependencies) -> Self {
        Self { keys: Arc::clone(&dependencies.keys), random: dependencies.random.clone() }
    }

    pub(crate) fn seal(&self, bound_to: &[&str], text: &[u8]) -> Result<String, SealError> {
        let envelope = self.keys.sealing.seal(&self.random, Purpose::Credential, bound_to, text)?;
        Ok(URL_SAFE_NO_PAD.encode(envelope))
    }

    /// `None` if the envelope or its binding was changed, or its key is missing.
    pub(crate) fn open(&self, bound_to: &[&str], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let envelope = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        self.keys.sealing.open(Purpose::Credential, bound_to, &envelope).ok()
    }
}
