//! Encrypts stored secrets again after a key rotation, so the replaced key can be dropped. Several replicas
//! may do so at the same time: an envelope is only replaced if it has not changed since it was read, so a
//! concurrent refresh keeps its tokens.

use std::sync::Arc;

use portcullis_clock::Random;
use portcullis_keyring::{Keyring, Purpose, SealError};
use portcullis_store::{Store, StoreError};

use crate::{BrokerDependencies, connection, registration};

/// Number of envelopes that were sealed under replaced keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReencryptProgress {
    /// Sealed again under the current key.
    pub rows: u64,
    /// Left unchanged, because they cannot be opened.
    pub unopenable: u64,
}

/// Re-encryption stopped early. Envelopes that were already replaced stay replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReencryptError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An envelope could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Encrypts stored tokens and client secrets again.
pub struct Reencryptor {
    store: Store,
    keys: Arc<Keyring>,
    random: Random,
}

impl Reencryptor {
    pub(crate) fn new(dependencies: &BrokerDependencies) -> Self {
        Self {
            store: dependencies.store.clone(),
            keys: Arc::clone(&dependencies.keys),
            random: dependencies.random.clone(),
        }
    }

    /// Goes through the store once, in small batches, and re-encrypts everything that was sealed under
    /// replaced keys. `each` receives the progress of each batch. Afterwards, only envelopes that cannot be
    /// opened, or that were written by a replica without the new keys, are still sealed under keys that were
    /// replaced at the start.
    ///
    /// # Errors
    /// If the store fails, or there is no randomness.
    pub async fn reencrypt(&self, each: impl Fn(ReencryptProgress)) -> Result<(), ReencryptError> {
        for prefix in self.keys.sealing.replaced_key_prefixes() {
            self.reencrypt_connections(&prefix, &each).await?;
            self.reencrypt_client_secrets(&prefix, &each).await?;
        }
        Ok(())
    }

    async fn reencrypt_connections(
        &self,
        prefix: &str,
        each: &impl Fn(ReencryptProgress),
    ) -> Result<(), ReencryptError> {
        let mut rows = self.store.connections_sealed(prefix, None).await?;
        while let Some(last) = rows.last() {
            let mut done = ReencryptProgress::default();
            for row in &rows {
                match self.reencrypt_envelope(&connection::associated_data(row), &row.sealed)? {
                    Some(sealed) => {
                        done.rows += u64::from(self.store.reencrypt_connection(row, &sealed).await?)
                    }
                    None => done.unopenable += 1,
                }
            }
            each(done);
            rows = self.store.connections_sealed(prefix, Some(last)).await?;
        }
        Ok(())
    }

    async fn reencrypt_client_secrets(
        &self,
        prefix: &str,
        each: &impl Fn(ReencryptProgress),
    ) -> Result<(), ReencryptError> {
        let mut rows = self.store.origin_clients_sealed(prefix, None).await?;
        while let Some(last) = rows.last() {
            let mut done = ReencryptProgress::default();
            for row in &rows {
                let sealed = row.sealed_secret.as_deref().unwrap_or_default();
                match self.reencrypt_envelope(&registration::associated_data(row), sealed)? {
                    Some(sealed) => {
                        done.rows += u64::from(self.store.reencrypt_origin_client(row, &sealed).await?)
                    }
                    None => done.unopenable += 1,
                }
            }
            each(done);
            rows = self.store.origin_clients_sealed(prefix, Some(last)).await?;
        }
        Ok(())
    }

    fn reencrypt_envelope(&self, bound_to: &[&str], sealed: &str) -> Result<Option<String>, SealError> {
        self.keys.sealing.reencrypt(&self.random, Purpose::Credential, bound_to, sealed)
    }
}
