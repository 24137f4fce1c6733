use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::NoRandomness;
use portcullis_policy::{Gateway, IdentityProvider};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::provider::Provider;
use crate::{IdentityProviders, ProviderError};

/// What a browser is sent to sign in with.
pub struct AuthorizationRequest<'a> {
    /// Comes back with it.
    pub state: &'a str,
    /// What has to be known when it does.
    pub proof: &'a SignInSecrets,
    /// Whether the provider has to ask again although it knows somebody.
    pub another_account: bool,
}

/// What shows that the answer belongs to the question. A secret until then.
#[derive(Serialize, Deserialize)]
pub struct SignInSecrets {
    /// Binds the id_token to this sign-in (OpenID Connect Core, section 3.1.2.1).
    pub(crate) nonce: String,
    /// PKCE (RFC 7636).
    pub(crate) verifier: String,
}

impl IdentityProviders {
    /// The proof of a new sign-in.
    ///
    /// # Errors
    /// When nothing random can be had.
    pub fn new_secrets(&self) -> Result<SignInSecrets, NoRandomness> {
        let random = &self.dependencies().random;
        Ok(SignInSecrets { nonce: random.token()?, verifier: random.token()? })
    }

    /// Where the browser signs in (RFC 6749, section 4.1.1). Never with `resource`: the provider's token is for the gateway alone, and
    /// some refuse it.
    ///
    /// # Errors
    /// When the provider's metadata cannot be had, or names no such place.
    pub async fn authorization_url(
        &self,
        gateway: &Gateway,
        provider: &IdentityProvider,
        begin: &AuthorizationRequest<'_>,
    ) -> Result<String, ProviderError> {
        let provider = self.provider(provider).await?;
        let mut url = provider.discovered.metadata.authorization_endpoint.clone().ok_or_else(|| {
            ProviderError::InvalidResponse("its metadata names no authorization endpoint".to_owned())
        })?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&begin.proof.verifier));
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client.client_id)
            .append_pair("redirect_uri", &redirect_uri(gateway))
            .append_pair("state", begin.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(scope) = scope(&provider) {
            query.append_pair("scope", &scope);
        }
        if provider.is_openid() {
            query.append_pair("nonce", &begin.proof.nonce);
            if begin.another_account {
                query.append_pair("prompt", "login");
            }
        }
        drop(query);
        Ok(url.into())
    }
}

/// The one place of ours that providers send people back to.
pub(crate) fn redirect_uri(gateway: &Gateway) -> String {
    format!("{}/login/callback", gateway.public_url)
}

/// As configured; with `offline_access` where that gets a refresh token and one is wanted (OpenID Connect Core, section 11).
fn scope(provider: &Provider<'_>) -> Option<String> {
    const OFFLINE_ACCESS: &str = "offline_access";
    let mut scopes: Vec<&str> = provider.client.scopes.iter().map(String::as_str).collect();
    let is_offered = provider.is_openid() && provider.discovered.metadata.supports_scope(OFFLINE_ACCESS);
    if provider.client.renew && is_offered && !scopes.contains(&OFFLINE_ACCESS) {
        scopes.push(OFFLINE_ACCESS);
    }
    (!scopes.is_empty()).then(|| scopes.join(" "))
}
