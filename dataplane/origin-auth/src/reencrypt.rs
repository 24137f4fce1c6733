//! Sealing anew what lies in the store under a key that was replaced, so that the key can go. Any replica may do it, and several at
//! a time: an envelope is replaced only where it is still the one that was opened, so that a refresh that is faster keeps its
//! tokens.

use portcullis_keyring::{Purpose, SealError};
use portcullis_store::StoreError;

use crate::{CredentialBroker, Inner, connection, registration};

/// What was found sealed under replaced keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReencryptProgress {
    /// Sealed anew.
    pub rows: u64,
    /// Left as they are: they do not open, so that nobody can use them either.
    pub unopenable: u64,
}

/// Not everything was looked at. What was done is done.
#[derive(Debug, thiserror::Error)]
pub enum ReencryptError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be sealed now.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl CredentialBroker {
    /// Looks through the store once, in small portions, and seals anew what lies there under replaced keys; `each` hears of every
    /// portion. After it, nothing that opens is sealed under a key that was a replaced one when it began, but for what somebody
    /// who has not heard of the rotation writes.
    ///
    /// # Errors
    /// When the store does not answer, or there is no randomness.
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
