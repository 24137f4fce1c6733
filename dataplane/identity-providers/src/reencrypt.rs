//! Re-encrypts stored refresh tokens under the current key. The replaced key can be removed afterwards. The
//! credential broker (crate `origin-auth`) does the same for accounts at origins.

use std::sync::Arc;

use portcullis_clock::Random;
use portcullis_keyring::{Keyring, Purpose};
use portcullis_policy::{Gateway, PrincipalId};
use portcullis_store::{ProviderAccountRow, Store};

use crate::error::{Problem, ProviderError};
use crate::stored_account::associated_data;

/// Re-encrypts the stored refresh tokens.
pub struct TokenReencryption {
    store: Store,
    keys: Arc<Keyring>,
    random: Random,
}

impl TokenReencryption {
    pub(crate) const fn new(store: Store, keys: Arc<Keyring>, random: Random) -> Self {
        Self { store, keys, random }
    }

    /// Scans the store once, in small batches. Calls `each` for every refresh token under a replaced key:
    /// with `true` if it was re-encrypted, with `false` if it cannot be decrypted and stays unchanged.
    ///
    /// # Errors
    /// When the store or the random source fails. Tokens that were already re-encrypted stay so.
    pub async fn run(&self, gateway: &Gateway, each: impl Fn(bool)) -> Result<(), ProviderError> {
        let store = &self.store;
        for beginning in self.keys.sealing.replaced_key_prefixes() {
            let mut rows = store.provider_accounts_sealed(&beginning, None).await?;
            while let Some(last) = rows.last() {
                for row in &rows {
                    match self.reencrypt_account(gateway, row)? {
                        // A concurrent renewal replaced the token, under the current key.
                        Some(sealed) if !store.reencrypt_provider_account(row, &sealed).await? => {}
                        anew => each(anew.is_some()),
                    }
                }
                rows = store.provider_accounts_sealed(&beginning, Some(last)).await?;
            }
        }
        Ok(())
    }

    fn reencrypt_account(
        &self,
        gateway: &Gateway,
        row: &ProviderAccountRow,
    ) -> Result<Option<String>, ProviderError> {
        let known =
            gateway.identity_providers.iter().find(|provider| *provider.name == *row.identity_provider);
        let (Some(client), Some(sealed)) = (known.and_then(|provider| provider.kind.client()), &row.sealed)
        else {
            return Ok(None);
        };
        let who = PrincipalId::from_stored(&row.principal);
        let bound_to = associated_data(&who, &row.identity_provider, client);
        let anew = self.keys.sealing.reencrypt(&self.random, Purpose::IdentityProvider, &bound_to, sealed);
        anew.map_err(|error| ProviderError::Gateway(Problem::of(error)))
    }
}
