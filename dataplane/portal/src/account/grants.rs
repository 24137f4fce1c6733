//! The grants of a user: what clients may do on the user's behalf.

use std::sync::Arc;

use portcullis_clock::UnixMillis;
use portcullis_policy::{PrincipalId, Route, RouteTable};
use portcullis_store::{GrantFilter, GrantRow, LiveGrantRow};
use url::Url;

use crate::Portal;
use crate::error::PortalError;
use crate::time_format::DisplayTime;

/// Maximum number of grants that are listed for a user. Only a client that authorizes in a loop creates more.
const MAX_GRANTS: i64 = 500;

/// A grant, prepared for display.
pub(crate) struct UserGrant {
    pub(crate) grant: GrantRow,
    /// `None` if the route is no longer served. The grant is then useless but can still be revoked.
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) last_token_at: UnixMillis,
    pub(crate) since: DisplayTime,
    pub(crate) last: DisplayTime,
}

impl UserGrant {
    pub(crate) fn new(table: &RouteTable, row: LiveGrantRow, now: UnixMillis) -> Self {
        let LiveGrantRow { grant, last_token_at } = row;
        let last_token_at = UnixMillis(last_token_at);
        Self {
            route: table.route_by_uid(&grant.route_uid).cloned(),
            since: DisplayTime::date(UnixMillis(grant.created_at)),
            last: DisplayTime::relative(last_token_at, now),
            last_token_at,
            grant,
        }
    }

    /// See [`published_by`].
    pub(crate) fn published_by(&self) -> Option<String> {
        published_by(&self.grant.client_id)
    }

    pub(crate) fn server(&self) -> &str {
        self.route.as_ref().map_or("a server that no longer exists", |route| &route.display_name)
    }
}

/// The host of a client's metadata document. `None` for a registered client, whose name is unverified.
pub(crate) fn published_by(client_id: &str) -> Option<String> {
    let url = Url::parse(client_id).ok().filter(|url| url.scheme() == "https")?;
    url.host_str().map(ToOwned::to_owned)
}

/// The grants of a user, most recently used first.
pub(crate) async fn grants_of(
    portal: &Portal,
    table: &RouteTable,
    person: &PrincipalId,
) -> Result<Vec<UserGrant>, PortalError> {
    let now = portal.clock.now();
    let rows = portal.store.live_grants(GrantFilter::Person(person.as_str()), now.0, "", MAX_GRANTS).await?;
    let mut given: Vec<_> = rows.into_iter().map(|row| UserGrant::new(table, row, now)).collect();
    given.sort_by_key(|each| std::cmp::Reverse((each.last_token_at, each.grant.created_at)));
    Ok(given)
}

/// Revokes a grant and withdraws its consent, so the client must ask again.
pub(crate) async fn revoke_user_grant(
    portal: &Portal,
    table: &RouteTable,
    grant: &GrantRow,
    reason: &'static str,
) -> Result<(), PortalError> {
    portal.store.withdraw_grant_consents(&grant.principal, &grant.client_id, &grant.route_uid).await?;
    Ok(portal.revocation.revoke_grant(table, grant, reason).await?)
}

#[cfg(test)]
mod tests {
    use super::published_by;

    #[test]
    fn given_client_ids_then_only_the_address_of_a_metadata_document_says_who_published_it() {
        for (id, host) in [
            ("https://app.example/client.json", Some("app.example")),
            ("https://app.example:8443/client.json", Some("app.example")),
            ("http://app.example/client.json", None),
            ("app.example", None),
            ("a-registered-client", None),
        ] {
            assert_eq!(published_by(id).as_deref(), host, "{id}");
        }
    }
}
