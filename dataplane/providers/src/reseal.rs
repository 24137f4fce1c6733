//! Sealing anew what was kept under a key that was replaced, so that the key can go; as `vault` does it for accounts at origins.

use portcullis_keys::Purpose;
use portcullis_policy::{Gateway, PrincipalId};
use portcullis_store::ProviderAccountRow;

use crate::account::bound_to;
use crate::{ProviderError, Providers};

impl Providers {
    /// Looks through the store once, in small portions. `each` hears of every refresh token under a replaced key: whether it was sealed
    /// anew, or opens for nobody and is left as it is.
    ///
    /// # Errors
    /// When the store does not answer, or there is no randomness. What was done is done.
    pub async fn reseal(&self, gateway: &Gateway, each: impl Fn(bool)) -> Result<(), ProviderError> {
        let store = &self.parts().store;
        for beginning in self.parts().keys.sealing.replaced() {
            let mut rows = store.provider_accounts_sealed(&beginning, None).await?;
            while let Some(last) = rows.last() {
                for row in &rows {
                    match self.anew(gateway, row)? {
                        // Where a renewal was faster, it has sealed its own.
                        Some(sealed) if !store.reseal_provider_account(row, &sealed).await? => {}
                        anew => each(anew.is_some()),
                    }
                }
                rows = store.provider_accounts_sealed(&beginning, Some(last)).await?;
            }
        }
        Ok(())
    }

    fn anew(&self, gateway: &Gateway, row: &ProviderAccountRow) -> Result<Option<String>, ProviderError> {
        let known =
            gateway.identity_providers.iter().find(|provider| *provider.name == *row.identity_provider);
        let (Some(client), Some(sealed)) = (known.and_then(|provider| provider.kind.client()), &row.sealed)
        else {
            return Ok(None);
        };
        let who = PrincipalId::from_stored(&row.principal);
        let bound_to = bound_to(&who, &row.identity_provider, client);
        let parts = self.parts();
        let anew = parts.keys.sealing.reseal(&parts.random, Purpose::Provider, &bound_to, sealed);
        anew.map_err(|error| ProviderError::Gateway(error.to_string()))
    }
}
