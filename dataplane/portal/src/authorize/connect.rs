use axum::extract::{Form, Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;

use crate::Portal;
use crate::authorize::consent::{CONFIRM, here};
use crate::authorize::pending::{Authorization, Pending, Step};
use crate::failure::Failure;
use crate::forms::check_same_origin;
use crate::page;
use crate::visitor::Visitor;

/// The hidden field of the form.
#[derive(Deserialize)]
pub(crate) struct ConnectForm {
    token: Option<String>,
}

/// `POST /consent/{id}/connect`: connects an account at the route's origin and comes back to the page.
///
/// Only for somebody who has signed in, from the page that names client, account and origin. What comes of it is the person's
/// own and stays here, whatever they then decide about the client.
pub(crate) async fn post(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<ConnectForm>,
) -> Result<Response, Failure> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    check_same_origin(gateway, &headers)?;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    portal.check_form(CONFIRM, &id, &visitor.binding(), form.token.as_deref())?;
    let pending = Pending::find(&portal, &visitor, &id).await?;
    let authorization = Authorization::of(&portal, &table, pending.asked.clone()).await?;
    let Step::Confirm(admitted, _) = authorization.next(&portal, &visitor, pending.browser.is_some()).await?
    else {
        return Ok(page::see_other(&here(gateway, &id)));
    };
    let known = admitted.known();
    let origin = &known.authorization.route.origin;
    let browser = visitor.browser_or_new(&portal, gateway)?;
    let return_to = format!("/consent/{id}");
    let url = portal
        .vault
        .begin(&known.principal.id, gateway, origin, &browser.id, &return_to)
        .await
        .map_err(|error| Failure::connect(&error, Some(&return_to)))?;
    Ok(page::with_cookies(page::leave(url.as_str(), &origin.display_name), browser.cookie))
}
