use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderMap;
use portcullis_providers::{Answer, ProviderError};
use serde::Deserialize;

use crate::Portal;
use crate::digest::digest;
use crate::failure::Failure;
use crate::sign_in::{session, start};
use crate::visitor::Visitor;

/// What a provider sends back (RFC 6749, section 4.1.2).
#[derive(Deserialize)]
pub(crate) struct Callback {
    state: Option<String>,
    #[serde(flatten)]
    answer: Answer,
}

/// `GET /login/callback`: an identity provider has answered.
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
        .filter(|provider| provider.kind.client().is_some())
        .ok_or(Failure::UnknownSignIn)?;
    match portal.providers.sign_in(gateway, provider, callback.answer, &details.proof).await {
        Ok(signed_in) => session::open(&portal, &table, &visitor, &signed_in, &details.return_to).await,
        Err(error) => {
            session::failed(&portal, &table, error.reason(), &error.to_string());
            Err(failure(&provider.name, error, &details.return_to))
        }
    }
}

/// The page for what went wrong; `back` is where one can try again.
pub(super) fn failure(provider: &str, error: ProviderError, back: &str) -> Failure {
    tracing::warn!(provider, %error, "sign-in at the identity provider failed");
    let (provider, back) = (provider.to_owned(), Some(back.to_owned()));
    match error {
        ProviderError::Away(_) => Failure::ProviderAway { provider, back },
        ProviderError::Wrong(reason) => Failure::ProviderWrong { provider, reason },
        ProviderError::OtherIssuer => {
            Failure::ProviderWrong { provider, reason: "it came from somebody else".to_owned() }
        }
        ProviderError::Refused { code, description } => {
            let reason = match code.as_str() {
                "access_denied" => "the sign-in was cancelled, or this account may not use it".to_owned(),
                _ => description.unwrap_or(code),
            };
            Failure::SignInRefused { provider, reason, back }
        }
        ProviderError::Gateway(problem) => Failure::internal(problem),
    }
}
