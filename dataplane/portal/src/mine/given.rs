use std::sync::Arc;

use portcullis_ambient::Instant;
use portcullis_policy::{PrincipalId, Route, RouteTable};
use portcullis_store::{GrantRow, GrantsOf, LiveGrantRow};
use url::Url;

use crate::Portal;
use crate::failure::Failure;
use crate::when::When;

/// So many grants of one person are looked at. Nobody has more, but for a client that authorizes in a loop.
const MOST: i64 = 500;

/// What a client may do in somebody's name.
pub(crate) struct Given {
    pub(crate) grant: GrantRow,
    /// `None` where the route is not served any more: the grant is of no use then, and can still be ended.
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) last_token_at: Instant,
    pub(crate) since: When,
    pub(crate) last: When,
}

impl Given {
    pub(crate) fn new(table: &RouteTable, row: LiveGrantRow, now: Instant) -> Self {
        let LiveGrantRow { grant, last_token_at } = row;
        let last_token_at = Instant(last_token_at);
        Self {
            route: table.route_by_uid(&grant.route_uid).cloned(),
            since: When::since(Instant(grant.created_at)),
            last: When::last(last_token_at, now),
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
pub(crate) async fn given_by(
    portal: &Portal,
    table: &RouteTable,
    person: &PrincipalId,
) -> Result<Vec<Given>, Failure> {
    let now = portal.clock.now();
    let rows = portal.store.live_grants(GrantsOf::Person(person.as_str()), now.0, "", MOST).await?;
    let mut given: Vec<_> = rows.into_iter().map(|row| Given::new(table, row, now)).collect();
    given.sort_by_key(|each| std::cmp::Reverse((each.last_token_at, each.grant.created_at)));
    Ok(given)
}

/// Ends a grant, and takes the approval behind it back: its client has to ask again.
pub(crate) async fn take_back(
    portal: &Portal,
    table: &RouteTable,
    grant: &GrantRow,
    reason: &'static str,
) -> Result<(), Failure> {
    portal.store.withdraw_consents_for(&grant.principal, &grant.client_id, &grant.route_uid).await?;
    Ok(portal.identity.end_grant(table, grant, reason).await?)
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
