//! The development sign-in: the user selects an account from a list, without a password.

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_config::{DevelopmentUser, IdentityProviderKind};
use portcullis_identity_providers::CompletedSignIn;
use portcullis_keyring::digest;
use portcullis_policy::{Gateway, Principal};
use portcullis_store::SignInRow;
use serde::Deserialize;

use crate::Portal;
use crate::error::PortalError;
use crate::forms::check_same_origin;
use crate::page;
use crate::sign_in::{loopback, session, start};
use crate::visitor::Visitor;

const FORM: &str = "development";

#[derive(Template)]
#[template(path = "development.html")]
struct DevelopmentPage<'a> {
    users: &'a [DevelopmentUser],
    state: &'a str,
    token: String,
}

#[derive(Deserialize)]
pub(crate) struct DevelopmentQuery {
    state: String,
}

#[derive(Deserialize)]
pub(crate) struct DevelopmentForm {
    state: String,
    token: Option<String>,
    user: String,
}

fn users<'a>(gateway: &'a Gateway, sign_in: &SignInRow) -> Result<&'a [DevelopmentUser], PortalError> {
    let provider =
        gateway.identity_providers.iter().find(|provider| *provider.name == *sign_in.identity_provider);
    match provider.map(|provider| &provider.kind) {
        Some(IdentityProviderKind::Development { users }) => Ok(users),
        _ => Err(PortalError::UnknownSignIn),
    }
}

/// `GET /login/development`
pub(crate) async fn get(
    State(portal): State<Portal>,
    Query(arrival): Query<DevelopmentQuery>,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    loopback::check_host(&table.gateway, &headers)?;
    let visitor = Visitor::of(&portal, &table.gateway, &headers).await?;
    let browser = visitor.browser().ok_or(PortalError::UnknownSignIn)?;
    let sign_in = portal
        .store
        .sign_in(&digest(&arrival.state), browser, portal.clock.now().0)
        .await?
        .ok_or(PortalError::UnknownSignIn)?;
    let users = users(&table.gateway, &sign_in)?;
    let token = portal.form_token(FORM, &arrival.state, &visitor.binding())?;
    Ok(page::render(StatusCode::OK, &DevelopmentPage { users, state: &arrival.state, token }))
}

/// `POST /login/development`
pub(crate) async fn post(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Form(choice): Form<DevelopmentForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    loopback::check_host(&table.gateway, &headers)?;
    check_same_origin(&table.gateway, &headers)?;
    let visitor = Visitor::of(&portal, &table.gateway, &headers).await?;
    portal.check_form_token(FORM, &choice.state, &visitor.binding(), choice.token.as_deref())?;
    let browser = visitor.browser().ok_or(PortalError::UnknownSignIn)?;
    let id = digest(&choice.state);
    let sign_in = portal
        .store
        .take_sign_in(&id, browser, portal.clock.now().0)
        .await?
        .ok_or(PortalError::UnknownSignIn)?;
    let details: start::PendingSignIn =
        portal.open(&["sign-in", &id, browser], &sign_in.details).ok_or(PortalError::UnknownSignIn)?;
    let user = users(&table.gateway, &sign_in)?
        .iter()
        .find(|user| user.email == choice.user)
        .ok_or(PortalError::UnknownSignIn)?;
    let principal = Principal::new(
        &sign_in.identity_provider,
        &user.email,
        Some(&user.email),
        Some(&user.name).filter(|name| !name.is_empty()).map(String::as_str),
        &user.groups,
    );
    let signed_in = CompletedSignIn { principal, provider_session: None };
    session::start_session(&portal, &table, &visitor, &signed_in, &details.return_to).await
}
