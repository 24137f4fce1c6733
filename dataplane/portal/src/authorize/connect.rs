//! `POST /consent/{id}/connect`: connects the user's account at the route's origin from the consent page.

use axum::extract::{Form, Path};
use axum::response::Response;
use serde::Deserialize;

use crate::authorize::consent::{CONFIRM_FORM, consent_url};
use crate::authorize::pending::{Authorization, PendingAuthorization, Step};
use crate::error::PortalError;
use crate::page;
use crate::request::{FormRequest, PortalRequest};

#[derive(Deserialize)]
pub(crate) struct ConnectForm {
    token: Option<String>,
}

/// `POST /consent/{id}/connect`: connects an account at the route's origin and returns to the consent page.
///
/// The user must be signed in and use the page that shows client, account and origin. The connection belongs
/// to the user and is kept even if they then deny the client.
pub(crate) async fn post(
    Path(id): Path<String>,
    FormRequest(request): FormRequest,
    Form(form): Form<ConnectForm>,
) -> Result<Response, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    let gateway = &table.gateway;
    portal.check_form_token(CONFIRM_FORM, &id, &visitor.binding(), form.token.as_deref())?;
    let pending = PendingAuthorization::find(&portal, &visitor, &id).await?;
    let authorization = Authorization::of(&portal, &table, pending.asked.clone()).await?;
    let Step::Confirm(admitted, _) = authorization.next(&portal, &visitor, pending.browser.is_some()).await?
    else {
        return Ok(page::see_other(&consent_url(gateway, &id)));
    };
    let known = admitted.authenticated();
    let origin = &known.authorization.route.origin;
    let browser = visitor.browser_or_new(&portal, gateway)?;
    let return_to = format!("/consent/{id}");
    let url = portal
        .broker
        .connect_flows
        .begin(&known.principal.id, gateway, origin, &browser.id, &return_to)
        .await
        .map_err(|error| PortalError::connect(&error, Some(&return_to)))?;
    Ok(page::with_cookies(page::redirect_page(url.as_str(), &origin.display_name), browser.cookie))
}
