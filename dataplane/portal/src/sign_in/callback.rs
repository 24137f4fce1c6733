//! `/login/callback`: the browser returns from an identity provider.

use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use portcullis_identity_providers::AuthorizationResponse;
use portcullis_keyring::digest;
use serde::Deserialize;

use crate::Portal;
use crate::error::PortalError;
use crate::sign_in::{session, start};
use crate::visitor::Visitor;

/// The parameters that a provider returns (RFC 6749, section 4.1.2).
#[derive(Deserialize)]
pub(crate) struct Callback {
    state: Option<String>,
    #[serde(flatten)]
    answer: AuthorizationResponse,
}

/// `GET /login/callback`
pub(crate) async fn get(
    State(portal): State<Portal>,
    Query(callback): Query<Callback>,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    let id = digest(callback.state.as_deref().unwrap_or_default());
    let browser = visitor.browser().ok_or(PortalError::UnknownSignIn)?;
    let row = portal
        .store
        .take_sign_in(&id, browser, portal.clock.now().0)
        .await?
        .ok_or(PortalError::UnknownSignIn)?;
    let details: start::PendingSignIn =
        portal.open(&["sign-in", &id, browser], &row.details).ok_or(PortalError::UnknownSignIn)?;
    let provider = gateway
        .identity_providers
        .iter()
        .find(|provider| *provider.name == *row.identity_provider)
        .filter(|provider| provider.kind.client().is_some())
        .ok_or(PortalError::UnknownSignIn)?;
    match portal.providers.sign_in.sign_in(gateway, provider, callback.answer, &details.proof).await {
        Ok(signed_in) => {
            session::start_session(&portal, &table, &visitor, &signed_in, &details.return_to).await
        }
        Err(error) => {
            session::record_failure(&portal, &table, error.reason(), &error.to_string());
            Err(PortalError::sign_in(&provider.name, error, &details.return_to))
        }
    }
}
