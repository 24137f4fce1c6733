//! Checks that the signed-in user is an administrator of the gateway.

use std::sync::Arc;

use http::HeaderMap;
use portcullis_events::{EventKind, Outcome};
use portcullis_policy::{Principal, RouteTable};

use crate::Portal;
use crate::error::PortalError;
use crate::visitor::Visitor;

/// A signed-in administrator. Every page and every revocation of the administration needs one.
pub(crate) struct Admin {
    pub(crate) person: Principal,
    pub(crate) visitor: Visitor,
}

pub(crate) enum AdminCheck {
    Admin(Admin),
    /// No user is signed in with this browser.
    SignedOut(Visitor),
}

impl AdminCheck {
    /// Checks the users of this browser, by the last groups and email from the identity provider.
    ///
    /// # Errors
    /// When users are signed in and none of them is an administrator. This is recorded as an event.
    pub(crate) async fn of(
        portal: &Portal,
        table: &RouteTable,
        headers: &HeaderMap,
    ) -> Result<Self, PortalError> {
        let visitor = Visitor::of(portal, &table.gateway, headers).await?;
        let Some(first) = visitor.people().next() else { return Ok(Self::SignedOut(visitor)) };
        let admin = visitor.people().find(|person| table.gateway.is_admin(person)).cloned();
        if let Some(person) = admin {
            return Ok(Self::Admin(Admin { person, visitor }));
        }
        let mut event = portal.event(table, EventKind::PolicyDenied, Outcome::Denied);
        event.subject = Some(Arc::clone(&first.subject));
        event.reason = Some("not_admin");
        portal.events.record(event);
        Err(PortalError::NotAdmin(first.label().to_owned()))
    }
}

impl Admin {
    /// Like [`AdminCheck::of`], but fails if no user is signed in.
    pub(crate) async fn of(
        portal: &Portal,
        table: &RouteTable,
        headers: &HeaderMap,
    ) -> Result<Self, PortalError> {
        match AdminCheck::of(portal, table, headers).await? {
            AdminCheck::Admin(admin) => Ok(admin),
            AdminCheck::SignedOut(_) => Err(PortalError::NotSignedIn),
        }
    }
}
