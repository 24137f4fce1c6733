use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_origin_auth::{Account, ConnectionStatus};
use portcullis_policy::{CredentialSubject, Origin, Principal, PrincipalId, Route, RouteTable};
use portcullis_store::{ClientInUseRow, PrincipalRow};
use serde::Deserialize;

use crate::Portal;
use crate::error::PortalError;

/// So many on a page, unless another number is asked for.
const DEFAULT_PAGE_SIZE: i64 = 50;
const MAX_PAGE_SIZE: i64 = 200;
/// Nobody seeks for more letters.
const MAX_SEARCH_LEN: usize = 200;

/// What is sought, and from where on.
#[derive(Default, Deserialize)]
pub(crate) struct ListQuery {
    /// Part of a name, email, subject or id.
    #[serde(default)]
    pub(crate) q: String,
    /// The last one of the page before.
    #[serde(default)]
    pub(crate) after: String,
    pub(crate) limit: Option<i64>,
}

/// A part of a longer list, and where the next one begins.
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

    /// Cuts off the one that was read beyond the page.
    fn paginate<T>(&self, mut found: Vec<T>, key: impl Fn(&T) -> &str) -> ListPage<T> {
        let limit = usize::try_from(self.limit()).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| key(last).to_owned());
        ListPage { found, next }
    }

    /// People who have ever signed in.
    pub(crate) async fn people(&self, portal: &Portal) -> Result<ListPage<PrincipalRow>, PortalError> {
        let (sought, after) = (self.search_text(), strip_nul(&self.after));
        let rows = portal.store.search_principals(sought, &after, self.limit() + 1).await?;
        Ok(self.paginate(rows, |row| &row.subject))
    }

    /// Clients that somebody has given something.
    pub(crate) async fn clients(&self, portal: &Portal) -> Result<ListPage<ClientInUseRow>, PortalError> {
        let (now, after) = (portal.clock.now().0, strip_nul(&self.after));
        let rows = portal.store.clients_in_use(self.search_text(), now, &after, self.limit() + 1).await?;
        Ok(self.paginate(rows, |row| &row.client_id))
    }
}

/// No text of PostgreSQL's holds U+0000.
fn strip_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// One person, by the opaque id.
pub(crate) async fn person(portal: &Portal, id: &str) -> Result<Principal, PortalError> {
    if id.contains('\0') {
        return Err(PortalError::NotFound);
    }
    portal.identity.principal(&PrincipalId::from_stored(id)).await?.ok_or(PortalError::NotFound)
}

/// Teams that name a route which is served, with those routes.
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

/// An origin, and how many accounts are connected there.
pub(crate) struct OriginInUse<'a> {
    pub(crate) origin: &'a Arc<Origin>,
    /// Of the gateway, for whoever registers it there by hand.
    pub(crate) redirect_uri: String,
    pub(crate) connections: i64,
    /// The account that everybody shares, where there is to be one.
    pub(crate) shared: Option<Account>,
}

impl OriginInUse<'_> {
    pub(crate) fn has_shared_status(&self, status: ConnectionStatus) -> bool {
        self.shared.as_ref().is_some_and(|account| account.status == status)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.has_shared_status(ConnectionStatus::Connected)
    }

    /// Whether it has to be connected once more.
    pub(crate) fn again(&self) -> bool {
        self.has_shared_status(ConnectionStatus::ReconnectNeeded)
    }
}

/// Origins behind the routes that are served where accounts are connected: each person's own, or one for everybody.
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
            CredentialSubject::SharedAccount => Some(portal.vault.shared_account(origin).await?),
            _ => None,
        };
        let connections = portal.store.count_connections_at(&origin.uid).await?;
        let redirect_uri = portal.vault.redirect_uri(&table.gateway, origin);
        found.push(OriginInUse { origin, redirect_uri, connections, shared });
    }
    Ok(found)
}
