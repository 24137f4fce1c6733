//! The accounts of a user at origins, connected or not.

use std::sync::Arc;

use portcullis_origin_auth::{Account, ConnectionStatus};
use portcullis_policy::{Origin, Principal, RouteTable};

use crate::Portal;
use crate::error::PortalError;

/// A user's account at one origin, connected or not.
pub(crate) struct UserConnection<'a> {
    pub(crate) origin: &'a Arc<Origin>,
    pub(crate) person: &'a Principal,
    pub(crate) account: Account,
    /// Display names of the routes through which the user may use it. Without any, connecting is not offered.
    pub(crate) routes: Vec<&'a str>,
}

impl UserConnection<'_> {
    pub(crate) fn connected(&self) -> bool {
        self.account.status == ConnectionStatus::Connected
    }

    pub(crate) fn again(&self) -> bool {
        self.account.status == ConnectionStatus::ReconnectNeeded
    }

    /// Whether it is connected and the origin has requested more scopes.
    pub(crate) fn wants_more(&self) -> bool {
        self.connected() && !self.account.pending_scopes.is_empty()
    }

    /// Whether tokens are stored.
    pub(crate) fn is_kept(&self) -> bool {
        self.connected() || self.again()
    }

    pub(crate) fn may_connect(&self) -> bool {
        !self.routes.is_empty()
    }
}

/// The value of `state` in the API.
pub(crate) const fn state(status: ConnectionStatus) -> &'static str {
    match status {
        ConnectionStatus::NotNeeded => "not_needed",
        ConnectionStatus::Connected => "connected",
        ConnectionStatus::NeverConnected => "never_connected",
        ConnectionStatus::ReconnectNeeded => "reconnect_needed",
        ConnectionStatus::AdminNeeded => "admin_needed",
        ConnectionStatus::SignInNeeded => "sign_in_needed",
    }
}

/// A user's accounts at origins that need one: those that the user may use, and those that are still
/// connected.
pub(crate) async fn connections_of<'a>(
    portal: &Portal,
    table: &'a RouteTable,
    person: &'a Principal,
) -> Result<Vec<UserConnection<'a>>, PortalError> {
    let mut routes: Vec<_> = table.routes().filter(|route| route.needs_account()).collect();
    routes.sort_by_key(|route| (&route.origin.display_name, &route.origin.uid, &route.display_name));
    let mut accounts = Vec::new();
    for through in routes.chunk_by(|one, next| one.origin.uid == next.origin.uid) {
        let Some(origin) = through.first().map(|route| &route.origin) else { continue };
        let usable = through.iter().filter(|route| !route.suspended && route.authorize(person).is_some());
        let routes = usable.map(|route| route.display_name.as_str()).collect();
        let account = portal.broker.accounts.account(&person.id, origin).await?;
        let found = UserConnection { origin, person, account, routes };
        if found.may_connect() || found.is_kept() {
            accounts.push(found);
        }
    }
    Ok(accounts)
}
