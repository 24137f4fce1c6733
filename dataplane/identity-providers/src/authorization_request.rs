//! The authorization request that starts a sign-in (RFC 6749, section 4.1.1; OpenID Connect Core, section
//! 3.1.2.1).

use portcullis_keyring::digest;
use portcullis_policy::Gateway;
use serde::{Deserialize, Serialize};

use crate::ProviderError;
use crate::provider::Provider;

/// Parameters of an authorization request.
pub struct AuthorizationRequest<'a> {
    /// `state`. The response repeats it.
    pub state: &'a str,
    /// Secrets that the gateway needs again to process the response.
    pub proof: &'a SignInSecrets,
    /// Whether the provider must show its sign-in page even if the browser has a session there
    /// (`prompt=login`).
    pub another_account: bool,
}

/// Secrets that bind the response to the request. They must stay secret until the sign-in completes.
#[derive(Serialize, Deserialize)]
pub struct SignInSecrets {
    /// `nonce`: binds the id_token to this sign-in (OpenID Connect Core, section 3.1.2.1).
    pub(crate) nonce: String,
    /// `code_verifier` of PKCE (RFC 7636).
    pub(crate) verifier: String,
}

/// The URL of the authorization request (RFC 6749, section 4.1.1). It has no `resource` parameter, because
/// only the gateway uses the token and some providers reject the parameter.
pub(crate) fn authorization_url(
    gateway: &Gateway,
    provider: &Provider<'_>,
    begin: &AuthorizationRequest<'_>,
) -> Result<String, ProviderError> {
    let mut url = provider
        .discovered
        .metadata
        .authorization_endpoint
        .clone()
        .ok_or_else(|| ProviderError::invalid("its metadata has no authorization_endpoint"))?;
    let challenge = digest(&begin.proof.verifier);
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.client.client_id)
        .append_pair("redirect_uri", &redirect_uri(gateway))
        .append_pair("state", begin.state)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    if let Some(scope) = scope(provider) {
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

/// The redirect URI of all sign-ins.
pub(crate) fn redirect_uri(gateway: &Gateway) -> String {
    format!("{}/login/callback", gateway.public_url)
}

/// The configured scopes. Adds `offline_access` to request a refresh token (OpenID Connect Core, section 11)
/// if sign-ins are renewed and the provider supports the scope.
fn scope(provider: &Provider<'_>) -> Option<String> {
    const OFFLINE_ACCESS: &str = "offline_access";
    let mut scopes: Vec<&str> = provider.client.scopes.iter().map(String::as_str).collect();
    let is_offered = provider.is_openid() && provider.discovered.metadata.supports_scope(OFFLINE_ACCESS);
    if provider.client.renew && is_offered && !scopes.contains(&OFFLINE_ACCESS) {
        scopes.push(OFFLINE_ACCESS);
    }
    (!scopes.is_empty()).then(|| scopes.join(" "))
}
