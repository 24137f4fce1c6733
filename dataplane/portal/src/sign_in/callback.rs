use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use portcullis_contract::IdentityProviderKind;
use serde::Deserialize;

use crate::Portal;
use crate::digest::digest;
use crate::failure::Failure;
use crate::sign_in::{session, start};
use crate::visitor::Visitor;

/// What a provider sends back (RFC 6749 section 4.1.2, RFC 9207).
#[derive(Deserialize)]
pub(crate) struct Callback {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// `GET /login/callback`: an OpenID provider has answered.
pub(crate) async fn get(
    State(portal): State<Portal>,
    Query(callback): Query<Callback>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    let id = digest(callback.state.as_deref().unwrap_or_default());
    let browser = visitor.browser().ok_or(Failure::UnknownSignIn)?;
    let row =
        portal.store.take_sign_in(&id, browser, portal.clock.now().0).await?.ok_or(Failure::UnknownSignIn)?;
    let details: start::Details =
        portal.open(&["sign-in", &id, browser], &row.details).ok_or(Failure::UnknownSignIn)?;
    let provider = gateway
        .identity_providers
        .iter()
        .find(|provider| *provider.name == *row.identity_provider)
        .ok_or(Failure::UnknownSignIn)?;
    let IdentityProviderKind::Oidc(settings) = &provider.kind else { return Err(Failure::UnknownSignIn) };
    if callback.iss.as_ref().is_some_and(|iss| *iss != settings.issuer) {
        session::failed(&portal, &table, "wrong_issuer", &provider.name);
        return Err(Failure::ProviderWrong {
            provider: provider.name.to_string(),
            reason: "it came from somebody else".to_owned(),
        });
    }
    if let Some(error) = callback.error {
        session::failed(&portal, &table, "refused_by_provider", &error);
        let reason = match error.as_str() {
            "access_denied" => "the sign-in was cancelled, or this account may not use it".to_owned(),
            _ => callback.error_description.unwrap_or(error),
        };
        let provider = provider.name.to_string();
        return Err(Failure::SignInRefused { provider, reason, back: Some(details.return_to) });
    }
    let code = callback.code.ok_or(Failure::UnknownSignIn)?;
    let signed_in = portal.0.providers.sign_in(&portal, gateway, provider, settings, code, &details).await;
    match signed_in {
        Ok(principal) => session::open(&portal, &table, &visitor, &principal, &details.return_to).await,
        Err(error) => {
            session::failed(&portal, &table, error.reason(), &error.to_string());
            Err(error.page(&provider.name, Some(&details.return_to)))
        }
    }
}
