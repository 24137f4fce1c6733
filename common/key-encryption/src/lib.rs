//! How the rings lie where they are kept, in a file or a Secret: as they are, or encrypted by a service that does not give its own
//! key away (the transit engine of HashiCorp Vault and OpenBao). Whoever reads the file or the Secret then has nothing without
//! that service.
//!
//! ```text
//! stored --Custody::open--> text of keys.json --Custody::close--> stored
//! ```
//!
//! The service is asked when a process starts and when the rings change, and never on the way of a request: while it is away,
//! everything that runs goes on.

mod arguments;
mod encrypted_keys;
mod transit;
mod transit_login;

pub use arguments::KeyEncryptionArgs;

use portcullis_egress::HttpClients;
use zeroize::Zeroizing;

use crate::encrypted_keys::EncryptedKeys;
use crate::transit::TransitClient;

/// How the rings are kept.
pub struct KeyEncryption(Option<TransitClient>);

/// The rings could not be opened or closed. Nothing goes on without them.
#[derive(Debug, thiserror::Error)]
pub enum KeyEncryptionError {
    /// The command line contradicts itself, or a file that it names cannot be read.
    #[error("{0}")]
    Arguments(String),
    /// They were encrypted, and nobody said how to decrypt them.
    #[error(
        "the keys are encrypted with the transit key {mount}/{key}; say --keys-encryption transit and where that service is"
    )]
    Encrypted {
        /// Where the engine is mounted.
        mount: String,
        /// The key's name there.
        key: String,
    },
    /// The service does not answer.
    #[error("the keys cannot be had without the transit service, which does not answer: {0}")]
    Unreachable(#[from] portcullis_egress::EgressError),
    /// The service refuses.
    #[error("the transit service at {host} refuses to {what} (status {status}{told}); {advice}")]
    Refused {
        /// Whom.
        host: String,
        /// What was asked for.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// What it said.
        told: String,
        /// What to look at.
        advice: &'static str,
    },
    /// It answered something that is not of its protocol.
    #[error("the service at {host} does not answer as a transit engine does: {problem}")]
    InvalidResponse {
        /// Whom.
        host: String,
        /// What is missing.
        problem: &'static str,
    },
    /// A file with a credential for the service cannot be read.
    #[error("{path}, with which the transit service is asked: {source}")]
    Credential {
        /// Which file.
        path: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

impl KeyEncryption {
    /// The rings are kept as they are.
    #[must_use]
    pub fn plain() -> Self {
        Self(None)
    }

    /// As the command line says. Asks nobody yet.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub fn new(arguments: &KeyEncryptionArgs, clients: &HttpClients) -> Result<Self, KeyEncryptionError> {
        Ok(Self(arguments.transit(clients)?))
    }

    /// The rings out of what is stored. What is stored in the clear is taken as it is, so that an installation can begin to
    /// encrypt; whoever writes should then [close](Self::close) it.
    ///
    /// # Errors
    /// When it is encrypted and the service cannot be had, or refuses.
    pub async fn decrypt(&self, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyEncryptionError> {
        match (EncryptedKeys::read(stored), &self.0) {
            (None, _) => Ok(Zeroizing::new(stored.to_vec())),
            (Some(EncryptedKeys { mount, key, .. }), None) => {
                Err(KeyEncryptionError::Encrypted { mount, key })
            }
            (Some(stored), Some(transit)) => transit.decrypt(&stored).await,
        }
    }

    /// What to store.
    ///
    /// # Errors
    /// When it is to be encrypted and the service cannot be had, or refuses.
    pub async fn encrypt(&self, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyEncryptionError> {
        match &self.0 {
            None => Ok(Zeroizing::new(text.to_vec())),
            Some(transit) => Ok(Zeroizing::new(transit.encrypt(text).await?.to_json())),
        }
    }

    /// Whether something is stored as [`close`](Self::close) would store it.
    #[must_use]
    pub fn is_up_to_date(&self, stored: &[u8]) -> bool {
        match (EncryptedKeys::read(stored), &self.0) {
            (None, None) => true,
            (Some(stored), Some(transit)) => transit.uses_current_key(&stored),
            _ => false,
        }
    }
}
