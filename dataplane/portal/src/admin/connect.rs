//! Connecting the account that all users share at an origin. The flow returns to the origin's callback like
//! any other consent. It succeeds only if an administrator is signed in with the browser at that time too.

use std::sync::Arc;

use axum::extract::{Form, Path};
use axum::response::Response;
use portcullis_events::{EventKind, FailureOrigin, Outcome};
use portcullis_origin_auth::{ConnectCallback, ConnectError};
use portcullis_policy::{Origin, RouteTable};

use crate::Portal;
use crate::admin::forms::{AdminForm, ORIGIN_FORM};
use crate::admin::require_admin::{Admin, AdminFormRequest, AdminRequest};
use crate::connect::manage::ConsentRedirect;
use crate::error::PortalError;
use crate::page;
use crate::paths::ORIGINS;
use crate::visitor::Visitor;

/// `POST /admin/origins/{id}/connect`
pub(crate) async fn post(
    Path(id): Path<String>,
    request: AdminFormRequest,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let request = request.verify(ORIGIN_FORM, &id, form.token.as_deref())?;
    let origin = request.table.origin(&id).ok_or(PortalError::NotFound)?;
    let began = begin(&request, origin).await?;
    Ok(page::with_cookies(page::redirect_page(began.url.as_str(), &origin.display_name), began.cookie))
}

/// Begins consent for the shared account.
pub(crate) async fn begin(
    request: &AdminRequest,
    origin: &Arc<Origin>,
) -> Result<ConsentRedirect, PortalError> {
    let AdminRequest { portal, table, admin } = request;
    let browser = admin.visitor.browser_or_new(portal, &table.gateway)?;
    match portal.broker.connect_flows.begin_shared(&table.gateway, origin, &browser.id, ORIGINS).await {
        Ok(url) => Ok(ConsentRedirect { url, cookie: browser.cookie }),
        Err(error) => Err(failed(portal, table, admin, origin, &error)),
    }
}

/// Completes the flow of [`begin`] when the browser returns.
pub(crate) async fn finish(
    portal: &Portal,
    table: &RouteTable,
    visitor: Visitor,
    origin: &Arc<Origin>,
    callback: &ConnectCallback,
) -> Result<Response, PortalError> {
    // First, because only administrators may complete this flow.
    let admin = Admin::of(portal, table, visitor)?;
    let browser = admin.visitor.browser().unwrap_or_default();
    match portal.broker.connect_flows.finish(&table.gateway, origin, browser, callback).await {
        Ok(_) => {
            record(portal, table, &admin, origin, None);
            Ok(page::see_other(&format!("{}{ORIGINS}", table.gateway.public_url)))
        }
        Err(error) => Err(failed(portal, table, &admin, origin, &error)),
    }
}

fn failed(
    portal: &Portal,
    table: &RouteTable,
    admin: &Admin,
    origin: &Origin,
    error: &ConnectError,
) -> PortalError {
    record(portal, table, admin, origin, Some(error));
    PortalError::connect(error, Some(ORIGINS))
}

fn record(portal: &Portal, table: &RouteTable, admin: &Admin, origin: &Origin, error: Option<&ConnectError>) {
    let outcome = if error.is_some() { Outcome::UpstreamError } else { Outcome::Success };
    let mut event = portal.event(table, EventKind::AdminConnected, outcome);
    event.subject = Some(Arc::clone(&admin.person.subject));
    event.origin = Some(Arc::clone(&origin.name));
    event.target = Some((&*origin.name).into());
    if let Some(error) = error {
        event.reason = Some("not_connected");
        event.failure_origin = Some(FailureOrigin::Upstream);
        event.message = Some(error.to_string().chars().take(1000).collect::<String>().into());
    }
    portal.events.record(event);
}
