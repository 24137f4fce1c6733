//! `/sign-out`: ends the session of the browser.

use axum::extract::Form;
use axum::response::Response;
use serde::Deserialize;

use crate::cookies::CookieKind;
use crate::error::PortalError;
use crate::page;
use crate::request::{FormRequest, PortalRequest};

#[derive(Deserialize)]
pub(crate) struct SignOutForm {
    token: Option<String>,
}

/// Name of the form, for its token.
pub(crate) const FORM: &str = "sign-out";

/// `POST /sign-out`: ends the session and deletes the browser cookie too. Flows that were started before
/// cannot continue under the next user.
pub(crate) async fn post(
    FormRequest(request): FormRequest,
    Form(form): Form<SignOutForm>,
) -> Result<Response, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    let gateway = &table.gateway;
    portal.check_form_token(FORM, "", &visitor.binding(), form.token.as_deref())?;
    if let Some(session) = visitor.session() {
        portal.store.end_browser_session(session, None).await?;
    }
    let cookies = [CookieKind::Session.clear(gateway), CookieKind::Browser.clear(gateway)];
    let home = page::see_other(&format!("{}/", gateway.public_url));
    Ok(page::with_cookies(home, cookies.into_iter().flatten()))
}
