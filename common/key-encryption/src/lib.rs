//! Encryption of the key rings at rest, in a file or a Secret: either none, or by the transit engine of
//! HashiCorp Vault or OpenBao, whose key never leaves the service. Reading the file or the Secret then
//! reveals nothing without that service.
//!
//! ```text
//! stored --KeyEncryption::decrypt--> text of keys.json --KeyEncryption::encrypt--> stored
//! ```
//!
//! The service is called when a process starts and when the rings change, never while a request is handled.
//! During an outage of the service, running processes are not affected.

mod arguments;
mod encrypted_keys;
mod transit;
mod transit_login;

pub use arguments::KeyEncryptionArgs;

use portcullis_egress::HttpClients;
use zeroize::Zeroizing;

use crate::encrypted_keys::EncryptedKeys;
use crate::transit::TransitClient;

/// Encrypts and decrypts the key rings as the command line configures it.
pub struct KeyEncryption {
    transit: Option<TransitClient>,
    accepts_unencrypted: bool,
}

/// The key rings could not be encrypted or decrypted. A process cannot start without them.
#[derive(Debug, thiserror::Error)]
pub enum KeyEncryptionError {
    /// The command-line options are incomplete or invalid, or a file that they name cannot be read.
    #[error("{0}")]
    Arguments(String),
    /// The rings are encrypted, but the command line does not configure the transit service.
    #[error(
        "the keys are encrypted with the transit key {mount}/{key}; add --keys-encryption transit and the options of that service"
    )]
    Encrypted {
        /// Path where the engine is mounted.
        mount: String,
        /// Name of the key.
        key: String,
    },
    /// The rings are not encrypted, although the command line configures encryption.
    #[error(
        "the keys are not encrypted, so they may have been replaced; restore the encrypted ones. If you just enabled encryption, \
         run the operator once with --keys-accept-unencrypted (chart: keys.transit.acceptUnencrypted)"
    )]
    Unencrypted,
    /// The rings are encrypted with a key that the command line does not name.
    #[error(
        "the keys are encrypted with the transit key {mount}/{key}, which the command line does not name; restore the keys, or add \
         --transit-previous-key {mount}/{key} if you changed the key"
    )]
    OtherKey {
        /// Path where the engine is mounted.
        mount: String,
        /// Name of the key.
        key: String,
    },
    /// The service is unreachable.
    #[error("the keys are unavailable because the request to the transit service failed: {0}")]
    Unreachable(#[from] portcullis_egress::EgressError),
    /// The service rejected the request.
    #[error("the transit service at {host} refused to {what} (status {status}{details}); {advice}")]
    Refused {
        /// Host of the service.
        host: String,
        /// Name of the operation.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// Error text of the service, after a colon. May be empty.
        details: String,
        /// What to check.
        advice: &'static str,
    },
    /// The response does not match the transit protocol.
    #[error("the response of {host} is not that of a transit engine: {problem}")]
    InvalidResponse {
        /// Host of the service.
        host: String,
        /// What is missing or invalid.
        problem: &'static str,
    },
    /// A file with a credential for the service cannot be read.
    #[error("the credential file {path} for the transit service cannot be read: {source}")]
    Credential {
        /// Path of the file.
        path: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
}

impl KeyEncryption {
    /// Stores the rings without encryption.
    #[must_use]
    pub fn plain() -> Self {
        Self { transit: None, accepts_unencrypted: false }
    }

    /// Configures encryption from the command line. Sends no request yet.
    ///
    /// # Errors
    /// If the options are incomplete or invalid.
    pub fn new(arguments: &KeyEncryptionArgs, clients: &HttpClients) -> Result<Self, KeyEncryptionError> {
        Ok(Self { transit: arguments.transit(clients)?, accepts_unencrypted: false })
    }

    /// Also accepts rings that are not encrypted, so that an existing installation can turn on encryption. The
    /// caller should then [encrypt](Self::encrypt) them. Only for rings that nobody else can write.
    #[must_use]
    pub fn accepting_unencrypted(self) -> Self {
        Self { accepts_unencrypted: true, ..self }
    }

    /// Decrypts stored rings.
    ///
    /// # Errors
    /// If the rings are encrypted and the service is unavailable or rejects the request, if they are encrypted
    /// with a key that is not configured, or if they are not encrypted although encryption is configured.
    pub async fn decrypt(&self, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyEncryptionError> {
        match (EncryptedKeys::read(stored), &self.transit) {
            (None, Some(_)) if !self.accepts_unencrypted => Err(KeyEncryptionError::Unencrypted),
            (None, _) => Ok(Zeroizing::new(stored.to_vec())),
            (Some(EncryptedKeys { mount, key, .. }), None) => {
                Err(KeyEncryptionError::Encrypted { mount, key })
            }
            (Some(stored), Some(transit)) => transit.decrypt(&stored).await,
        }
    }

    /// Encrypts rings for storage.
    ///
    /// # Errors
    /// If encryption is configured and the service is unavailable or rejects the request.
    pub async fn encrypt(&self, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyEncryptionError> {
        match &self.transit {
            None => Ok(Zeroizing::new(text.to_vec())),
            Some(transit) => Ok(Zeroizing::new(transit.encrypt(text).await?.to_json())),
        }
    }

    /// Whether the stored rings have the form that [`encrypt`](Self::encrypt) would give them.
    #[must_use]
    pub fn is_up_to_date(&self, stored: &[u8]) -> bool {
        match (EncryptedKeys::read(stored), &self.transit) {
            (None, None) => true,
            (Some(stored), Some(transit)) => transit.uses_current_key(&stored),
            _ => false,
        }
    }
}
