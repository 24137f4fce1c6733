//! Sealing anew what was kept under a key that was replaced, so that the key can go; as `vault` does it for accounts at origins.

use portcullis_keyring::Purpose;
use portcullis_policy::{Gateway, PrincipalId};
use portcullis_store::ProviderAccountRow;

use crate::stored_account::associated_data;
use crate::{IdentityProviders, ProviderError};

impl IdentityProviders {
    /// Looks through the store once, in small portions. `each` hears of every refresh token under a replaced key: whether it was sealed
    /// anew, or opens for nobody and is left as it is.
    ///
    /// # Errors
    /// When the store does not answer, or there is no randomness. What was done is done.
    pub async fn reencrypt(&self, gateway: &Gateway, each: impl Fn(bool)) -> Result<(), ProviderError> {
        let store = &self.dependencies().store;
        for beginning in self.dependencies().keys.sealing.replaced_key_prefixes() {
            let mut rows = store.provider_accounts_sealed(&beginning, None).await?;
            while let Some(last) = rows.last() {
                for row in &rows {
                    match self.reencrypt_account(gateway, row)? {
                        // Where a renewal was faster, it has sealed its own.
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
        let dependencies = self.dependencies();
        let anew = dependencies.keys.sealing.reencrypt(
            &dependencies.random,
            Purpose::IdentityProvider,
            &bound_to,
            sealed,
        );
        anew.map_err(|error| ProviderError::Gateway(error.to_string()))
    }
}
