//! The authorization endpoint: the consent page and the redirect (RFC 6749 section 4.1, RFC 7636, RFC 8707,
//! RFC 9207).

use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, LOCATION};
use serde::Deserialize;
use url::Url;

use super::token_store::AuthorizationRequest;
use crate::accounts::{ACCOUNT_NAMES, Account};
use crate::app_state::AppState;
use crate::pages::{ConsentPage, ErrorPage, page};

/// The parameters of an authorization request.
#[derive(Deserialize)]
pub(crate) struct AuthorizeParams {
    client_id: Option<String>,
    redirect_uri: Option<String>,
    response_type: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    state: Option<String>,
    resource: Option<String>,
}

/// The submitted form of the consent page.
#[derive(Deserialize)]
pub(crate) struct ConsentForm {
    question: String,
    account: Option<String>,
    answer: String,
}

/// Shows the consent page. Errors are shown on a page until the client and its redirect URI are verified, and
/// redirected after that.
pub(crate) async fn show_consent(
    State(site): State<Arc<AppState>>,
    Query(given): Query<AuthorizeParams>,
) -> Response {
    let client_id = given.client_id.unwrap_or_default();
    let Some(client) = site.store.client(&client_id) else {
        return error_page(
            "Unknown client. Connect the account again: the demo deletes its client registrations when it ends.",
        );
    };
    let Some(redirect_uri) = given.redirect_uri.filter(|uri| client.redirect_uris.contains(uri)) else {
        return error_page(
            "The redirect URI is not registered for this client. Start again in your application.",
        );
    };
    let Ok(target) = Url::parse(&redirect_uri) else {
        return error_page("The redirect URI is not a valid URL.");
    };
    let state = given.state;
    let wrong = |error: &str, why: &str| {
        redirect(&site, target.clone(), state.as_deref(), &[("error", error), ("error_description", why)])
    };
    if given.response_type.as_deref() != Some("code") {
        return wrong("unsupported_response_type", "response_type must be code");
    }
    let challenge = given.code_challenge.filter(|challenge| challenge.len() == 43);
    let Some(challenge) = challenge.filter(|_| given.code_challenge_method.as_deref() == Some("S256")) else {
        return wrong("invalid_request", "PKCE with S256 is required");
    };
    if given.resource.is_some_and(|resource| resource != site.resource) {
        return wrong("invalid_target", "resource must be the demo's MCP endpoint");
    }
    let question = AuthorizationRequest { client_id, redirect_uri, challenge, state: state.clone() };
    let Ok(id) = site.store.add_request(question) else {
        return wrong("server_error", "the system's random source failed; try again");
    };
    let host = target.host_str().unwrap_or_default();
    let host = target.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let asked = ConsentPage { client: &client.name, host: &host, accounts: &ACCOUNT_NAMES, question: &id };
    page(StatusCode::OK, &asked, Some(&format!("{}://{host}", target.scheme())))
}

/// Handles the submitted form once. Redirects the browser to the client with a code or with `access_denied`.
pub(crate) async fn submit_consent(
    State(site): State<Arc<AppState>>,
    form: Result<Form<ConsentForm>, FormRejection>,
) -> Response {
    let Ok(Form(given)) = form else {
        return error_page("The submitted form is incomplete. Start again in your application.");
    };
    let Some(question) = site.store.take_request(&given.question) else {
        return error_page(
            "This page was already submitted or has expired. Start again in your application.",
        );
    };
    let Ok(target) = Url::parse(&question.redirect_uri) else {
        return error_page("The redirect URI is not a valid URL.");
    };
    let state = question.state.clone();
    if given.answer != "allow" {
        let denied = [("error", "access_denied"), ("error_description", "the user denied access")];
        return redirect(&site, target, state.as_deref(), &denied);
    }
    let Some(account) = Account::named(given.account.as_deref().unwrap_or(ACCOUNT_NAMES[0])) else {
        return error_page("Unknown account. Start again in your application.");
    };
    match site.store.grant_code(question, account) {
        Ok(code) => redirect(&site, target, state.as_deref(), &[("code", &code)]),
        Err(_) => redirect(&site, target, state.as_deref(), &[("error", "server_error")]),
    }
}

fn error_page(reason: &str) -> Response {
    page(StatusCode::BAD_REQUEST, &ErrorPage { reason }, None)
}

fn redirect(site: &AppState, mut target: Url, state: Option<&str>, answer: &[(&str, &str)]) -> Response {
    {
        let mut query = target.query_pairs_mut();
        query.extend_pairs(answer).append_pair("iss", &site.issuer);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
    }
    let headers = [(LOCATION, target.as_str()), (CACHE_CONTROL, "no-store")];
    (StatusCode::SEE_OTHER, headers).into_response()
}
