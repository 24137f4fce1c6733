use std::sync::Arc;

use portcullis_clock::UnixMillis;
use portcullis_policy::{PrincipalId, Route, RouteTable};
use portcullis_store::{GrantFilter, GrantRow, LiveGrantRow};
use url::Url;

use crate::Portal;
use crate::error::PortalError;
use crate::time_format::DisplayTime;

/// So many grants of one person are looked at. Nobody has more, but for a client that authorizes in a loop.
const MAX_GRANTS: i64 = 500;

/// What a client may do in somebody's name.
pub(crate) struct UserGrant {
    pub(crate) grant: GrantRow,
    /// `None` where the route is not served any more: the grant is of no use then, and can still be ended.
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

    /// Who vouches for the client's name: the host of its metadata document.
    pub(crate) fn published_by(&self) -> Option<String> {
        published_by(&self.grant.client_id)
    }

    pub(crate) fn server(&self) -> &str {
        self.route.as_ref().map_or("a server that is not here any more", |route| &route.display_name)
    }
}

/// The host of a client's metadata document; `None` for a client that registered, whose name nobody has checked.
pub(crate) fn published_by(client_id: &str) -> Option<String> {
    let url = Url::parse(client_id).ok().filter(|url| url.scheme() == "https")?;
    url.host_str().map(ToOwned::to_owned)
}

/// What a person has given, latest first.
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

/// Ends a grant, and takes the approval behind it back: its client has to ask again.
pub(crate) async fn revoke_user_grant(
    portal: &Portal,
    table: &RouteTable,
    grant: &GrantRow,
    reason: &'static str,
) -> Result<(), PortalError> {
    portal.store.withdraw_grant_consents(&grant.principal, &grant.client_id, &grant.route_uid).await?;
    Ok(portal.identity.revoke_grant(table, grant, reason).await?)
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
