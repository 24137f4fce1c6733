//! Lists and lookups for administrators: principals, clients, teams and origins.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_origin_auth::{Account, ConnectionStatus, redirect_uri};
use portcullis_policy::{CredentialSubject, Origin, Principal, PrincipalId, Route, RouteTable};
use portcullis_store::{ClientInUseRow, PrincipalRow};
use serde::Deserialize;

use crate::Portal;
use crate::error::PortalError;

/// Entries on a page unless the request sets `limit`.
const DEFAULT_PAGE_SIZE: i64 = 50;
const MAX_PAGE_SIZE: i64 = 200;
/// Maximum length of a search text, in bytes.
const MAX_SEARCH_LEN: usize = 200;

/// Search text and position in a list.
#[derive(Default, Deserialize)]
pub(crate) struct ListQuery {
    /// Part of a name, email, subject or id.
    #[serde(default)]
    pub(crate) q: String,
    /// The `next` value of the previous page; empty for the first page.
    #[serde(default)]
    pub(crate) after: String,
    pub(crate) limit: Option<i64>,
}

/// One page of a list. `next` is the `after` value of the next page.
pub(crate) struct ListPage<T> {
    pub(crate) found: Vec<T>,
    pub(crate) next: Option<String>,
}

impl ListQuery {
    fn limit(&self) -> i64 {
        self.limit.unwrap_or(DEFAULT_PAGE_SIZE).clamp(1, MAX_PAGE_SIZE)
    }

    fn search_text(&self) -> &str {
        let sought = self.q.trim();
        sought.get(..MAX_SEARCH_LEN).unwrap_or(sought)
    }

    /// Cuts off the extra row that was read to find out whether there is a next page.
    fn paginate<T>(&self, mut found: Vec<T>, key: impl Fn(&T) -> &str) -> ListPage<T> {
        let limit = usize::try_from(self.limit()).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| key(last).to_owned());
        ListPage { found, next }
    }

    /// Users who have ever signed in.
    pub(crate) async fn people(&self, portal: &Portal) -> Result<ListPage<PrincipalRow>, PortalError> {
        let (sought, after) = (self.search_text(), strip_nul(&self.after));
        let rows = portal.store.search_principals(sought, &after, self.limit() + 1).await?;
        Ok(self.paginate(rows, |row| &row.subject))
    }

    /// Clients that have grants.
    pub(crate) async fn clients(&self, portal: &Portal) -> Result<ListPage<ClientInUseRow>, PortalError> {
        let (now, after) = (portal.clock.now().0, strip_nul(&self.after));
        let rows = portal.store.clients_in_use(self.search_text(), now, &after, self.limit() + 1).await?;
        Ok(self.paginate(rows, |row| &row.client_id))
    }
}

/// Removes U+0000, which PostgreSQL text cannot contain.
fn strip_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// A principal by its opaque id.
pub(crate) async fn person(portal: &Portal, id: &str) -> Result<Principal, PortalError> {
    if id.contains('\0') {
        return Err(PortalError::NotFound);
    }
    let principal = portal.principals.load(&PrincipalId::from_stored(id)).await?;
    principal.map(Arc::unwrap_or_clone).ok_or(PortalError::NotFound)
}

/// Teams that have a served route, with those routes.
pub(crate) fn teams(table: &RouteTable) -> BTreeMap<&str, Vec<&Route>> {
    let mut teams: BTreeMap<&str, Vec<&Route>> = BTreeMap::new();
    for route in table.routes() {
        for team in route.teams() {
            teams.entry(team).or_default().push(route);
        }
    }
    for routes in teams.values_mut() {
        routes.sort_by_key(|route| &route.slug);
    }
    teams
}

/// An origin with the number of its connections.
pub(crate) struct OriginInUse<'a> {
    pub(crate) origin: &'a Arc<Origin>,
    /// The gateway's redirect URI, for manual client registration.
    pub(crate) redirect_uri: String,
    pub(crate) connections: i64,
    /// The account that all users share; `None` if the origin uses one account per user.
    pub(crate) shared: Option<Account>,
}

impl OriginInUse<'_> {
    pub(crate) fn has_shared_status(&self, status: ConnectionStatus) -> bool {
        self.shared.as_ref().is_some_and(|account| account.status == status)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.has_shared_status(ConnectionStatus::Connected)
    }

    /// Whether the shared account must be reconnected.
    pub(crate) fn again(&self) -> bool {
        self.has_shared_status(ConnectionStatus::ReconnectNeeded)
    }
}

/// Origins of served routes that need a connected account: one per user, or one that all users share.
pub(crate) async fn origins<'a>(
    portal: &Portal,
    table: &'a RouteTable,
) -> Result<Vec<OriginInUse<'a>>, PortalError> {
    let mut origins: Vec<_> =
        table.routes().map(|route| &route.origin).filter(|origin| origin.auth.consent().is_some()).collect();
    origins.sort_by_key(|origin| &origin.name);
    origins.dedup_by_key(|origin| &origin.uid);
    let mut found = Vec::new();
    for origin in origins {
        let shared = match origin.credential_subject() {
            CredentialSubject::SharedAccount => Some(portal.broker.accounts.shared_account(origin).await?),
            _ => None,
        };
        let connections = portal.store.count_connections_at(&origin.uid).await?;
        let redirect_uri = redirect_uri(&table.gateway, origin);
        found.push(OriginInUse { origin, redirect_uri, connections, shared });
    }
    Ok(found)
}
