//! Stores a user's account at their provider. The refresh token is encrypted and bound to the principal, the
//! provider, the issuer and the client id; decryption fails if one of them differs.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::{Clock, Random};
use portcullis_config::ProviderClient;
use portcullis_keyring::{Keyring, Purpose};
use portcullis_policy::PrincipalId;
use portcullis_store::{ProviderAccountRow, Store};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Problem;
use crate::identify::IdentifiedUser;
use crate::provider::Provider;
use crate::token_endpoint::Tokens;
use crate::{ProviderError, account_key, session_key};

/// Plaintext of the encrypted envelope.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredAccount {
    pub(crate) refresh_token: Zeroizing<String>,
    /// `sub` that the next id_token must have (OpenID Connect Core, section 12.2).
    pub(crate) sub: String,
    /// `nonce` that the next id_token must have, if it has one.
    pub(crate) nonce: Option<String>,
}

/// The accounts in the store.
pub(crate) struct StoredAccounts {
    store: Store,
    keys: Arc<Keyring>,
    clock: Clock,
    random: Random,
}

impl StoredAccounts {
    pub(crate) const fn new(store: Store, keys: Arc<Keyring>, clock: Clock, random: Random) -> Self {
        Self { store, keys, clock, random }
    }

    /// Stores the account of a user that signed in. Includes the refresh token if there is one and renewal is
    /// enabled.
    pub(crate) async fn save(
        &self,
        provider: &Provider<'_>,
        principal: &PrincipalId,
        who: &IdentifiedUser,
        tokens: &Tokens,
        nonce: &str,
    ) -> Result<(), ProviderError> {
        let sealed = match tokens.refresh.as_ref().filter(|_| provider.client.renew) {
            Some(token) => {
                let refresh_token = Zeroizing::new(token.expose_secret().to_owned());
                let nonce = provider.is_openid().then(|| nonce.to_owned());
                let kept = StoredAccount { refresh_token, sub: who.sub.clone(), nonce };
                Some(self.seal(principal, provider.name, provider.client, &kept)?)
            }
            None => None,
        };
        let row = ProviderAccountRow {
            principal: principal.as_str().to_owned(),
            identity_provider: provider.name.to_owned(),
            subject: account_key(provider.name, &who.sub),
            sealed,
            provider_session: who.sid.as_deref().map(|sid| session_key(provider.name, sid)),
            renewed_at: self.clock.now().0,
            revision: self.random.token()?,
            leased_until: 0,
        };
        Ok(self.store.put_provider_account(&row).await?)
    }

    pub(crate) fn seal(
        &self,
        principal: &PrincipalId,
        provider: &str,
        client: &ProviderClient,
        kept: &StoredAccount,
    ) -> Result<String, ProviderError> {
        let text = Zeroizing::new(
            serde_json::to_vec(kept).map_err(|error| ProviderError::Gateway(Problem::of(error)))?,
        );
        let bound_to = associated_data(principal, provider, client);
        let sealed = self.keys.sealing.seal(&self.random, Purpose::IdentityProvider, &bound_to, &text);
        Ok(URL_SAFE_NO_PAD.encode(sealed.map_err(|error| ProviderError::Gateway(Problem::of(error)))?))
    }

    /// Decrypts a stored account. `None` if it was sealed for another principal or client, or its key was
    /// removed.
    pub(crate) fn open(
        &self,
        principal: &PrincipalId,
        provider: &str,
        client: &ProviderClient,
        sealed: &str,
    ) -> Option<StoredAccount> {
        let envelope = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let bound_to = associated_data(principal, provider, client);
        let text = self.keys.sealing.open(Purpose::IdentityProvider, &bound_to, &envelope).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

pub(crate) fn associated_data<'a>(
    principal: &'a PrincipalId,
    provider: &'a str,
    client: &'a ProviderClient,
) -> [&'a str; 4] {
    [principal.as_str(), provider, &client.issuer, &client.client_id]
}
