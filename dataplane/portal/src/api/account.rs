//! `/api/me`, `/api/servers`, `/api/connections` and `/api/clients`: the user's own data.

use axum::extract::{Path, Query};
use axum::response::IntoResponse as _;
use portcullis_clock::UnixMillis;
use portcullis_origin_auth::Account;
use portcullis_policy::{Principal, Route};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::account::clients;
use crate::account::grants::{UserGrant, grants_of, revoke_user_grant};
use crate::account::user_connection::{UserConnection, connections_of, state};
use crate::api::request::{ApiInput, ApiRequest, ApiWriteRequest, select_user};
use crate::api::response::{ApiResult, json_response, no_content};
use crate::connect::manage;
use crate::error::PortalError;
use crate::time_format::rfc3339;
use crate::{page, paths};

#[derive(Serialize)]
pub(crate) struct Person<'a> {
    id: &'a str,
    identity_provider: &'a str,
    subject: &'a str,
    email: Option<&'a str>,
    name: Option<&'a str>,
}

impl<'a> Person<'a> {
    pub(crate) fn new(person: &'a Principal) -> Self {
        Self {
            id: person.id.as_str(),
            identity_provider: &person.identity_provider,
            subject: &person.subject,
            email: person.email.as_deref(),
            name: person.name.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Server<'a> {
    slug: &'a str,
    name: &'a str,
    description: &'a str,
    url: &'a str,
}

impl<'a> Server<'a> {
    pub(crate) fn new(route: &'a Route) -> Self {
        Self {
            slug: &route.slug,
            name: &route.display_name,
            description: &route.description,
            url: &route.url,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Connection<'a> {
    origin: Origin<'a>,
    person: &'a str,
    state: &'static str,
    may_connect: bool,
    scopes: &'a [String],
    wanted_scopes: &'a [String],
    connected_at: Option<String>,
    last_used_at: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Origin<'a> {
    id: &'a str,
    name: &'a str,
    host: &'a str,
}

impl<'a> Origin<'a> {
    pub(crate) fn new(origin: &'a portcullis_policy::Origin) -> Self {
        Self { id: &origin.id, name: &origin.display_name, host: origin.url.host_str().unwrap_or_default() }
    }
}

impl<'a> Connection<'a> {
    pub(crate) fn new(mine: &'a UserConnection<'_>) -> Self {
        Self {
            origin: Origin::new(mine.origin),
            person: mine.person.id.as_str(),
            state: state(mine.account.status),
            may_connect: mine.may_connect(),
            scopes: &mine.account.scopes,
            wanted_scopes: &mine.account.pending_scopes,
            connected_at: mine.account.connected_at.map(rfc3339),
            last_used_at: mine.account.last_used_at.map(rfc3339),
        }
    }
}

/// An account that all users share.
#[derive(Serialize)]
pub(crate) struct SharedConnection<'a> {
    state: &'static str,
    scopes: &'a [String],
    connected_at: Option<String>,
    last_used_at: Option<String>,
}

impl<'a> SharedConnection<'a> {
    pub(crate) fn new(account: &'a Account) -> Self {
        Self {
            state: state(account.status),
            scopes: &account.scopes,
            connected_at: account.connected_at.map(rfc3339),
            last_used_at: account.last_used_at.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Grant<'a> {
    id: &'a str,
    person: &'a str,
    client: Client<'a>,
    /// `None` if the route is no longer served.
    server: Option<Server<'a>>,
    granted_at: String,
    expires_at: String,
    last_token_at: String,
}

/// A client. The name comes from the client itself.
#[derive(Serialize)]
pub(crate) struct Client<'a> {
    id: &'a str,
    name: &'a str,
    published_by: Option<String>,
}

impl<'a> Grant<'a> {
    pub(crate) fn new(given: &'a UserGrant) -> Self {
        let grant = &given.grant;
        Self {
            id: &grant.id,
            person: &grant.principal,
            client: Client {
                id: &grant.client_id,
                name: &grant.client_name,
                published_by: given.published_by(),
            },
            server: given.route.as_deref().map(Server::new),
            granted_at: rfc3339(UnixMillis(grant.created_at)),
            expires_at: rfc3339(UnixMillis(grant.expires_at)),
            last_token_at: rfc3339(given.last_token_at),
        }
    }
}

/// Selects one of several signed-in users.
#[derive(Deserialize)]
pub(crate) struct IdentityProviderQuery {
    identity_provider: Option<String>,
}

/// `GET /api/me`
pub(crate) async fn me(ApiRequest(ask): ApiRequest) -> ApiResult {
    let is_admin = ask.visitor.people().any(|person| ask.table.gateway.is_admin(person));
    let people: Vec<_> = ask.visitor.people().map(Person::new).collect();
    json_response(json!({"people": people, "is_admin": is_admin}))
}

/// `GET /api/servers`
pub(crate) async fn servers(ApiRequest(ask): ApiRequest) -> ApiResult {
    let mut routes: Vec<_> = ask
        .table
        .routes()
        .filter(|route| {
            !route.suspended && ask.visitor.people().any(|person| route.authorize(person).is_some())
        })
        .collect();
    routes.sort_by_key(|route| &route.slug);
    let servers: Vec<_> = routes.into_iter().map(|route| Server::new(route)).collect();
    json_response(json!({"servers": servers}))
}

/// `GET /api/connections`
pub(crate) async fn connections(ApiRequest(ask): ApiRequest) -> ApiResult {
    let mut found = Vec::new();
    for person in ask.visitor.people() {
        found.append(&mut connections_of(&ask.portal, &ask.table, person).await?);
    }
    let connections: Vec<_> = found.iter().map(Connection::new).collect();
    json_response(json!({"connections": connections}))
}

/// `POST /api/connections/{origin}/connect`: returns the URL to send the browser to.
pub(crate) async fn connect(
    ApiWriteRequest(ask): ApiWriteRequest,
    Path(origin): Path<String>,
    ApiInput(Query(who)): ApiInput<Query<IdentityProviderQuery>>,
) -> ApiResult {
    let person = select_user(&ask.visitor, who.identity_provider.as_deref())?;
    let origin = ask.table.origin(&origin).ok_or(PortalError::NotFound)?;
    let began =
        manage::begin(&ask.portal, &ask.table, &ask.visitor, person, origin, paths::MY_ACCOUNTS).await?;
    let answer = json_response(json!({"url": began.url}))?;
    Ok(page::with_cookies(answer, began.cookie).into_response())
}

/// `DELETE /api/connections/{origin}`
pub(crate) async fn disconnect(
    ApiWriteRequest(ask): ApiWriteRequest,
    Path(origin): Path<String>,
    ApiInput(Query(who)): ApiInput<Query<IdentityProviderQuery>>,
) -> ApiResult {
    let person = select_user(&ask.visitor, who.identity_provider.as_deref())?;
    let origin = ask.table.origin(&origin).ok_or(PortalError::NotFound)?;
    ask.portal.broker.disconnector.disconnect(&person.id, origin).await?;
    no_content()
}

/// `GET /api/clients`
pub(crate) async fn clients(ApiRequest(ask): ApiRequest) -> ApiResult {
    let mut found = Vec::new();
    for person in ask.visitor.people() {
        found.append(&mut grants_of(&ask.portal, &ask.table, &person.id).await?);
    }
    let grants: Vec<_> = found.iter().map(Grant::new).collect();
    json_response(json!({"clients": grants}))
}

/// `DELETE /api/clients/{grant}`
pub(crate) async fn revoke(ApiWriteRequest(ask): ApiWriteRequest, Path(id): Path<String>) -> ApiResult {
    let grant = clients::find(&ask.portal, &ask.visitor, &id).await?;
    revoke_user_grant(&ask.portal, &ask.table, &grant, "by_person").await?;
    no_content()
}
