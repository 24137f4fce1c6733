//! A person's account at their provider, as it is kept: the refresh token under a key of the ring, bound to the person and to the gateway's
//! registration at the provider. Another client, another issuer, another person: it does not open.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_contract::ProviderClient;
use portcullis_keys::Purpose;
use portcullis_policy::PrincipalId;
use portcullis_store::{ProviderAccountRow, StoreError};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::provider::Provider;
use crate::token::Tokens;
use crate::who::Who;
use crate::{ProviderError, Providers, account_of, session_of};

/// What the envelope holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) refresh_token: Zeroizing<String>,
    /// Whom the next id_token must be of (OpenID Connect Core, section 12.2).
    pub(crate) sub: String,
    /// What its nonce must be, if it has one.
    pub(crate) nonce: Option<String>,
}

impl Providers {
    /// Notes that somebody has signed in, and keeps the refresh token, if one was given and is wanted.
    pub(crate) async fn keep(
        &self,
        provider: &Provider<'_>,
        principal: &PrincipalId,
        who: &Who,
        tokens: &Tokens,
        nonce: &str,
    ) -> Result<(), ProviderError> {
        let parts = self.parts();
        let sealed = match tokens.refresh.as_ref().filter(|_| provider.client.renew) {
            Some(token) => {
                let refresh_token = Zeroizing::new(token.expose_secret().to_owned());
                let nonce = provider.is_openid().then(|| nonce.to_owned());
                let kept = Kept { refresh_token, sub: who.sub.clone(), nonce };
                Some(self.seal_account(principal, provider.name, provider.client, &kept)?)
            }
            None => None,
        };
        let row = ProviderAccountRow {
            principal: principal.as_str().to_owned(),
            identity_provider: provider.name.to_owned(),
            subject: account_of(provider.name, &who.sub),
            sealed,
            provider_session: who.sid.as_deref().map(|sid| session_of(provider.name, sid)),
            renewed_at: parts.clock.now().0,
            revision: parts.random.token()?,
            leased_until: 0,
        };
        Ok(parts.store.put_provider_account(&row).await?)
    }

    pub(crate) fn seal_account(
        &self,
        principal: &PrincipalId,
        provider: &str,
        client: &ProviderClient,
        kept: &Kept,
    ) -> Result<String, ProviderError> {
        let gateway = |error: &dyn std::fmt::Display| ProviderError::Gateway(error.to_string());
        let text = Zeroizing::new(serde_json::to_vec(kept).map_err(|error| gateway(&error))?);
        let parts = self.parts();
        let bound_to = bound_to(principal, provider, client);
        let sealed = parts.keys.sealing.seal(&parts.random, Purpose::Provider, &bound_to, &text);
        Ok(URL_SAFE_NO_PAD.encode(sealed.map_err(|error| gateway(&error))?))
    }

    /// `None` for what was sealed for anybody else, or under a key that is gone.
    pub(crate) fn open_account(
        &self,
        principal: &PrincipalId,
        provider: &str,
        client: &ProviderClient,
        sealed: &str,
    ) -> Option<Kept> {
        let envelope = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let bound_to = bound_to(principal, provider, client);
        let text = self.parts().keys.sealing.open(Purpose::Provider, &bound_to, &envelope).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Forgets a person's refresh token, here and in the store.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn forget(&self, who: &PrincipalId) -> Result<(), StoreError> {
        self.0.memory.forget(who);
        self.parts().store.forget_provider_token_of(who.as_str()).await
    }
}

pub(crate) fn bound_to<'a>(
    principal: &'a PrincipalId,
    provider: &'a str,
    client: &'a ProviderClient,
) -> [&'a str; 4] {
    [principal.as_str(), provider, &client.issuer, &client.client_id]
}
