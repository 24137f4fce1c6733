//! Checks that the signed-in user is an administrator of the gateway. Every handler of the administration
//! takes one of these extractors.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use portcullis_events::{EventKind, Outcome};
use portcullis_policy::{Principal, RouteTable};

use crate::Portal;
use crate::admin::revoke::AdminRevocation;
use crate::error::PortalError;
use crate::request::{FormRequest, PortalRequest, UserPage};
use crate::visitor::Visitor;

/// A signed-in administrator. Every page and every revocation of the administration needs one.
pub(crate) struct Admin {
    pub(crate) person: Principal,
    pub(crate) visitor: Visitor,
}

impl Admin {
    /// Checks the users of a browser, by the last groups and email from the identity provider.
    ///
    /// # Errors
    /// When no user is signed in, or none of them is an administrator. The latter is recorded as an event.
    pub(crate) fn of(portal: &Portal, table: &RouteTable, visitor: Visitor) -> Result<Self, PortalError> {
        let first = visitor.people().next().ok_or(PortalError::NotSignedIn)?;
        let admin = visitor.people().find(|person| table.gateway.is_admin(person)).cloned();
        if let Some(person) = admin {
            return Ok(Self { person, visitor });
        }
        let mut event = portal.event(table, EventKind::PolicyDenied, Outcome::Denied);
        event.subject = Some(Arc::clone(&first.subject));
        event.reason = Some("not_admin");
        portal.events.record(event);
        Err(PortalError::NotAdmin(first.label().to_owned()))
    }
}

/// A request of an administrator.
pub(crate) struct AdminRequest {
    pub(crate) portal: Portal,
    pub(crate) table: Arc<RouteTable>,
    pub(crate) admin: Admin,
}

impl AdminRequest {
    /// See [`Admin::of`].
    pub(crate) fn of(request: PortalRequest) -> Result<Self, PortalError> {
        let PortalRequest { portal, table, visitor } = request;
        let admin = Admin::of(&portal, &table, visitor)?;
        Ok(Self { portal, table, admin })
    }

    pub(crate) fn revocation(&self) -> AdminRevocation<'_> {
        AdminRevocation { portal: &self.portal, table: &self.table, admin: &self.admin }
    }
}

/// A page of the administration.
pub(crate) struct AdminPage(pub(crate) AdminRequest);

impl FromRequestParts<Portal> for AdminPage {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Response> {
        let UserPage(request) = UserPage::from_request_parts(parts, portal).await?;
        match AdminRequest::of(request) {
            Ok(request) => Ok(Self(request)),
            Err(error) => Err(error.into_response()),
        }
    }
}

/// A form of the administration, before its token is checked.
pub(crate) struct AdminFormRequest(AdminRequest);

impl AdminFormRequest {
    /// Checks the form's token. Without this check the handler has no [`AdminRequest`].
    pub(crate) fn verify(
        self,
        form: &str,
        subject: &str,
        token: Option<&str>,
    ) -> Result<AdminRequest, PortalError> {
        let Self(AdminRequest { portal, admin, .. }) = &self;
        portal.check_form_token(form, subject, &admin.visitor.binding(), token)?;
        Ok(self.0)
    }
}

impl FromRequestParts<Portal> for AdminFormRequest {
    type Rejection = PortalError;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, PortalError> {
        let FormRequest(request) = FormRequest::from_request_parts(parts, portal).await?;
        Ok(Self(AdminRequest::of(request)?))
    }
}
