use std::sync::Arc;

use http::HeaderMap;
use portcullis_events::{EventKind, Outcome};
use portcullis_policy::{Principal, RouteTable};

use crate::Portal;
use crate::error::PortalError;
use crate::visitor::Visitor;

/// Somebody who administers the gateway, at their browser. Every page and every ending of the administration begins with one.
pub(crate) struct Admin {
    pub(crate) person: Principal,
    pub(crate) visitor: Visitor,
}

/// Who came.
pub(crate) enum AdminCheck {
    Admin(Admin),
    /// Nobody has signed in yet.
    SignedOut(Visitor),
}

impl AdminCheck {
    /// Looks at who sits at the browser. Groups and email are as the identity provider last described them.
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
    /// For what only somebody who has signed in can ask.
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
