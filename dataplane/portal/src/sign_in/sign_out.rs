//! `/sign-out`: ends the session of the browser.

use axum::extract::{Form, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;

use crate::Portal;
use crate::cookies::CookieKind;
use crate::error::PortalError;
use crate::forms::check_same_origin;
use crate::page;
use crate::visitor::Visitor;

#[derive(Deserialize)]
pub(crate) struct SignOutForm {
    token: Option<String>,
}

/// Name of the form, for its token.
pub(crate) const FORM: &str = "sign-out";

/// `POST /sign-out`: ends the session and deletes the browser cookie too. Flows that were started before
/// cannot continue under the next user.
pub(crate) async fn post(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Form(form): Form<SignOutForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    check_same_origin(gateway, &headers)?;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    portal.check_form_token(FORM, "", &visitor.binding(), form.token.as_deref())?;
    if let Some(session) = visitor.session() {
        portal.store.end_browser_session(session, None).await?;
    }
    let cookies = [CookieKind::Session.clear(gateway), CookieKind::Browser.clear(gateway)];
    let home = page::see_other(&format!("{}/", gateway.public_url));
    Ok(page::with_cookies(home, cookies.into_iter().flatten()))
}
