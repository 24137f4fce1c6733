//! Connecting and disconnecting accounts from the portal.

use std::sync::Arc;

use axum::extract::{Form, Path};
use axum::response::Response;
use http::HeaderValue;
use portcullis_policy::{Origin, Principal, RouteTable};
use serde::Deserialize;
use url::Url;

use crate::Portal;
use crate::error::PortalError;
use crate::request::{FormRequest, PortalRequest};
use crate::visitor::Visitor;
use crate::{page, paths};

/// Name of both forms, for their tokens. The subject of a token is [`subject`].
pub(crate) const FORM: &str = "connection";

/// Subject of a form token: one user's account at one origin.
pub(crate) fn subject(origin: &Origin, person: &Principal) -> String {
    format!("{} {}", origin.id, person.id.as_str())
}

/// The fields of both forms. `provider` selects the user if several are signed in.
#[derive(Deserialize)]
pub(crate) struct ConnectionForm {
    token: Option<String>,
    provider: String,
}

struct CheckedForm<'a> {
    origin: &'a Arc<Origin>,
    person: Principal,
}

fn check<'a>(
    request: &'a PortalRequest,
    origin: &str,
    form: &ConnectionForm,
) -> Result<CheckedForm<'a>, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    let origin = table.origin(origin).ok_or(PortalError::NotFound)?;
    let person = visitor.signed_in(&form.provider).ok_or(PortalError::InvalidForm)?.principal.clone();
    portal.check_form_token(FORM, &subject(origin, &person), &visitor.binding(), form.token.as_deref())?;
    Ok(CheckedForm { origin, person })
}

/// A started consent at an origin.
pub(crate) struct ConsentRedirect {
    /// URL to redirect the browser to.
    pub(crate) url: Url,
    /// The browser cookie to set, if the browser had none.
    pub(crate) cookie: Option<HeaderValue>,
}

/// Begins consent at an origin for a user who may use a route to it. The browser returns to `return_to`.
pub(crate) async fn begin(
    portal: &Portal,
    table: &RouteTable,
    visitor: &Visitor,
    person: &Principal,
    origin: &Arc<Origin>,
    return_to: &str,
) -> Result<ConsentRedirect, PortalError> {
    let usable = table
        .routes()
        .any(|route| route.origin.uid == origin.uid && !route.suspended && route.authorize(person).is_some());
    if !usable {
        portal.record_denied(table, Some(person), None, origin, "no_team");
        let account = person.label().to_owned();
        return Err(PortalError::NoAccess { account, route: origin.display_name.clone() });
    }
    let gateway = &table.gateway;
    let browser = visitor.browser_or_new(portal, gateway)?;
    let url = portal
        .broker
        .connect_flows
        .begin(&person.id, gateway, origin, &browser.id, return_to)
        .await
        .map_err(|error| PortalError::connect(&error, Some(return_to)))?;
    Ok(ConsentRedirect { url, cookie: browser.cookie })
}

/// `POST /connections/{origin}/connect`
pub(crate) async fn connect(
    Path(origin): Path<String>,
    FormRequest(request): FormRequest,
    Form(form): Form<ConnectionForm>,
) -> Result<Response, PortalError> {
    let CheckedForm { origin, person } = check(&request, &origin, &form)?;
    let PortalRequest { portal, table, visitor } = &request;
    let began = begin(portal, table, visitor, &person, origin, paths::MY_ACCOUNTS).await?;
    Ok(page::with_cookies(page::redirect_page(began.url.as_str(), &origin.display_name), began.cookie))
}

/// `POST /connections/{origin}/disconnect`. Works even if the user may no longer use the origin.
pub(crate) async fn disconnect(
    Path(origin): Path<String>,
    FormRequest(request): FormRequest,
    Form(form): Form<ConnectionForm>,
) -> Result<Response, PortalError> {
    let CheckedForm { origin, person } = check(&request, &origin, &form)?;
    request.portal.broker.disconnector.disconnect(&person.id, origin).await?;
    Ok(page::see_other(&format!("{}{}", request.table.gateway.public_url, paths::MY_ACCOUNTS)))
}
