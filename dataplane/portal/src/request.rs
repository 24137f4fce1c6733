//! Extractors for pages and forms: the checks with which their handlers begin.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::request::Parts;
use portcullis_policy::RouteTable;

use crate::error::PortalError;
use crate::forms::check_same_origin;
use crate::visitor::Visitor;
use crate::{Portal, paths, welcome};

/// A request, the table that answers it, and the users who are signed in with its browser.
pub(crate) struct PortalRequest {
    pub(crate) portal: Portal,
    pub(crate) table: Arc<RouteTable>,
    pub(crate) visitor: Visitor,
}

impl PortalRequest {
    pub(crate) async fn of(portal: &Portal, headers: &HeaderMap) -> Result<Self, PortalError> {
        let table = portal.table()?;
        let visitor = Visitor::of(portal, &table.gateway, headers).await?;
        Ok(Self { portal: portal.clone(), table, visitor })
    }
}

/// A page for signed-in users. Browsers without a sign-in get the [`welcome`] page instead.
pub(crate) struct UserPage(pub(crate) PortalRequest);

impl FromRequestParts<Portal> for UserPage {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Response> {
        let request = match PortalRequest::of(portal, &parts.headers).await {
            Ok(request) => request,
            Err(error) => return Err(error.into_response()),
        };
        if request.visitor.people().next().is_some() {
            return Ok(Self(request));
        }
        let return_to = paths::return_to(parts.uri.path());
        Err(welcome::page(portal, &request.table.gateway, &request.visitor, return_to).into_response())
    }
}

/// A form from one of the gateway's own pages. The handler checks the form's token.
pub(crate) struct FormRequest(pub(crate) PortalRequest);

impl FromRequestParts<Portal> for FormRequest {
    type Rejection = PortalError;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, PortalError> {
        let table = portal.table()?;
        check_same_origin(&table.gateway, &parts.headers)?;
        let visitor = Visitor::of(portal, &table.gateway, &parts.headers).await?;
        Ok(Self(PortalRequest { portal: portal.clone(), table, visitor }))
    }
}
