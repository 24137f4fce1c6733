//! Encrypts stored secrets again after a key rotation, so the replaced key can be dropped. Several replicas
//! may do so at the same time: an envelope is only replaced if it has not changed since it was read, so a
//! concurrent refresh keeps its tokens.

use portcullis_keyring::{Purpose, SealError};
use portcullis_store::StoreError;

use crate::{CredentialBroker, Inner, connection, registration};

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

impl CredentialBroker {
    /// Goes through the store once, in small batches, and re-encrypts everything that was sealed under
    /// replaced keys. `each` receives the progress of each batch. Afterwards, only envelopes that cannot be
    /// opened, or that were written by a replica without the new keys, are still sealed under keys that were
    /// replaced at the start.
    ///
    /// # Errors
    /// If the store fails, or there is no randomness.
    pub async fn reencrypt(&self, each: impl Fn(ReencryptProgress)) -> Result<(), ReencryptError> {
        for beginning in self.0.parts.keys.sealing.replaced_key_prefixes() {
            self.0.reencrypt_connections(&beginning, &each).await?;
            self.0.reencrypt_registrations(&beginning, &each).await?;
        }
        Ok(())
    }
}

impl Inner {
    async fn reencrypt_connections(
        &self,
        beginning: &str,
        each: &impl Fn(ReencryptProgress),
    ) -> Result<(), ReencryptError> {
        let store = &self.parts.store;
        let mut rows = store.connections_sealed(beginning, None).await?;
        while let Some(last) = rows.last() {
            let mut done = ReencryptProgress::default();
            for row in &rows {
                match self.reencrypt_envelope(&connection::associated_data(row), &row.sealed)? {
                    Some(sealed) => done.rows += u64::from(store.reencrypt_connection(row, &sealed).await?),
                    None => done.unopenable += 1,
                }
            }
            each(done);
            rows = store.connections_sealed(beginning, Some(last)).await?;
        }
        Ok(())
    }

    async fn reencrypt_registrations(
        &self,
        beginning: &str,
        each: &impl Fn(ReencryptProgress),
    ) -> Result<(), ReencryptError> {
        let store = &self.parts.store;
        let mut rows = store.origin_clients_sealed(beginning, None).await?;
        while let Some(last) = rows.last() {
            let mut done = ReencryptProgress::default();
            for row in &rows {
                let sealed = row.sealed_secret.as_deref().unwrap_or_default();
                match self.reencrypt_envelope(&registration::associated_data(row), sealed)? {
                    Some(sealed) => {
                        done.rows += u64::from(store.reencrypt_origin_client(row, &sealed).await?)
                    }
                    None => done.unopenable += 1,
                }
            }
            each(done);
            rows = store.origin_clients_sealed(beginning, Some(last)).await?;
        }
        Ok(())
    }

    fn reencrypt_envelope(&self, bound_to: &[&str], sealed: &str) -> Result<Option<String>, SealError> {
        self.parts.keys.sealing.reencrypt(&self.parts.random, Purpose::Credential, bound_to, sealed)
    }
}
