//! Starts a sign-in at an identity provider.

use std::sync::Arc;

use axum::extract::{Form, State};
use axum::response::Response;
use http::HeaderMap;
use portcullis_config::IdentityProviderKind;
use portcullis_identity_providers::SignInSecrets;
use portcullis_keyring::digest;
use portcullis_policy::{Gateway, IdentityProvider};
use portcullis_store::SignInRow;
use serde::{Deserialize, Serialize};

use crate::Portal;
use crate::error::PortalError;
use crate::forms::check_same_origin;
use crate::page;
use crate::sign_in::loopback;
use crate::visitor::Visitor;

/// Lifetime of a pending sign-in, in seconds.
const LIFETIME: u64 = 10 * 60;

/// A sign-in to start. The browser must have approved it.
pub(crate) struct SignInStart<'a> {
    pub(crate) provider: &'a Arc<IdentityProvider>,
    /// Digest of the browser that must return.
    pub(crate) browser: &'a str,
    /// The gateway's path to continue to.
    pub(crate) return_to: &'a str,
    /// Whether the provider must ask again even if it has a session.
    pub(crate) another_account: bool,
}

/// The data that is needed when the browser returns. Sealed in the store.
#[derive(Serialize, Deserialize)]
pub(crate) struct PendingSignIn {
    /// Nonce and PKCE.
    #[serde(flatten)]
    pub(crate) proof: SignInSecrets,
    /// The gateway's path to continue to.
    pub(crate) return_to: String,
}

/// Checks the rate limit of sign-ins. Call it before anything is stored for the browser.
pub(crate) fn check_limit(portal: &Portal) -> Result<(), PortalError> {
    if portal.codes.allow_sign_in() { Ok(()) } else { Err(PortalError::Busy) }
}

/// Creates `state`, nonce and PKCE, and returns the URL at which the user signs in.
pub(crate) async fn begin(
    portal: &Portal,
    gateway: &Gateway,
    begin: &SignInStart<'_>,
) -> Result<String, PortalError> {
    let state = portal.random.token()?;
    let details = PendingSignIn {
        proof: portal.providers.sign_in.new_secrets()?,
        return_to: begin.return_to.to_owned(),
    };
    let url = match &begin.provider.kind {
        IdentityProviderKind::Oidc(_) | IdentityProviderKind::Oauth { .. } => {
            let SignInStart { provider, another_account, return_to, .. } = *begin;
            let asked = portcullis_identity_providers::AuthorizationRequest {
                state: &state,
                proof: &details.proof,
                another_account,
            };
            let begun = portal.providers.sign_in.authorization_url(gateway, provider, &asked).await;
            begun.map_err(|error| PortalError::sign_in(&provider.name, error, return_to))?
        }
        IdentityProviderKind::Development { .. } => {
            loopback::check(gateway)?;
            format!("{}/login/development?state={state}", gateway.public_url)
        }
    };
    portal.prune_expired().await;
    let id = digest(&state);
    let row = SignInRow {
        details: portal.seal(&["sign-in", &id, begin.browser], &details)?,
        browser: begin.browser.to_owned(),
        identity_provider: begin.provider.name.to_string(),
        expires_at: portal.clock.now().after_seconds(LIFETIME).0,
        id,
    };
    portal.store.put_sign_in(&row).await?;
    Ok(url)
}

/// The sign-in form of the portal's pages. Its token is bound to `provider` and `return_to`, so other sites
/// cannot set them.
#[derive(Deserialize)]
pub(crate) struct SignInForm {
    token: Option<String>,
    provider: String,
    return_to: String,
}

/// The hidden token of the form that [`post`] accepts.
pub(crate) fn form_token(portal: &Portal, provider: &str, return_to: &str) -> Result<String, PortalError> {
    portal.form_token("sign-in", provider, return_to)
}

/// `POST /login`
pub(crate) async fn post(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    check_same_origin(gateway, &headers)?;
    portal.check_form_token("sign-in", &form.provider, &form.return_to, form.token.as_deref())?;
    let provider = gateway
        .identity_providers
        .iter()
        .find(|provider| *provider.name == *form.provider)
        .ok_or(PortalError::NotFound)?;
    check_limit(&portal)?;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    let browser = visitor.browser_or_new(&portal, gateway)?;
    let another_account = visitor.signed_in(&provider.name).is_some();
    let wanted = SignInStart { provider, browser: &browser.id, return_to: &form.return_to, another_account };
    let url = begin(&portal, gateway, &wanted).await?;
    Ok(page::with_cookies(page::redirect_page(&url, &provider.name), browser.cookie))
}
