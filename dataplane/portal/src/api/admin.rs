//! `/api/admin/…`: the administration as JSON.

use axum::Json;
use axum::extract::{Path, Query};
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::json;

use crate::account::grants::{grants_of, published_by};
use crate::account::user_connection::{UserConnection, connections_of};
use crate::admin::connect;
use crate::admin::find::{self, ListPage, ListQuery};
use crate::api::account::{Connection, Grant, Origin, Person, Server, SharedConnection};
use crate::api::request::{ApiAdminRequest, ApiAdminWriteRequest, ApiInput};
use crate::api::response::{ApiResult, json_response};
use crate::error::PortalError;
use crate::page;

/// `GET /api/admin/people`
pub(crate) async fn people(
    ApiAdminRequest(ask): ApiAdminRequest,
    ApiInput(Query(seek)): ApiInput<Query<ListQuery>>,
) -> ApiResult {
    let ListPage { found, next } = seek.people(&ask.portal).await?;
    let people: Vec<_> = found
        .iter()
        .map(|row| {
            json!({
                "id": row.id, "identity_provider": row.identity_provider, "subject": row.subject,
                "email": row.email, "name": row.display_name,
            })
        })
        .collect();
    json_response(json!({"people": people, "next": next}))
}

/// `GET /api/admin/people/{id}`
pub(crate) async fn person(ApiAdminRequest(ask): ApiAdminRequest, Path(id): Path<String>) -> ApiResult {
    let person = find::person(&ask.portal, &id).await?;
    let given = grants_of(&ask.portal, &ask.table, &person.id).await?;
    let mut accounts = connections_of(&ask.portal, &ask.table, &person).await?;
    accounts.retain(UserConnection::is_kept);
    json_response(json!({
        "person": Person::new(&person),
        "sessions": ask.portal.store.count_sessions_of(person.id.as_str(), ask.portal.clock.now().0).await?,
        "clients": given.iter().map(Grant::new).collect::<Vec<_>>(),
        "connections": accounts.iter().map(Connection::new).collect::<Vec<_>>(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokePerson {
    /// Whether to remove the connections to origins too.
    #[serde(default)]
    connections: bool,
}

/// `POST /api/admin/people/{id}/revoke`
pub(crate) async fn revoke_person(
    ApiAdminWriteRequest(ask): ApiAdminWriteRequest,
    Path(id): Path<String>,
    ApiInput(Json(wanted)): ApiInput<Json<RevokePerson>>,
) -> ApiResult {
    let person = find::person(&ask.portal, &id).await?;
    json_response(ask.revocation().person(&person, wanted.connections).await?)
}

/// `GET /api/admin/clients`
pub(crate) async fn clients(
    ApiAdminRequest(ask): ApiAdminRequest,
    ApiInput(Query(seek)): ApiInput<Query<ListQuery>>,
) -> ApiResult {
    let ListPage { found, next } = seek.clients(&ask.portal).await?;
    let clients: Vec<_> = found
        .iter()
        .map(|row| {
            json!({
                "id": row.client_id, "name": row.client_name, "published_by": published_by(&row.client_id),
                "grants": row.grants, "people": row.people,
            })
        })
        .collect();
    json_response(json!({"clients": clients, "next": next}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeClient {
    client_id: String,
}

/// `POST /api/admin/clients/revoke`. The client id can be a URL, so it is in the body.
pub(crate) async fn revoke_client(
    ApiAdminWriteRequest(ask): ApiAdminWriteRequest,
    ApiInput(Json(wanted)): ApiInput<Json<RevokeClient>>,
) -> ApiResult {
    if wanted.client_id.contains('\0') {
        return Err(PortalError::NotFound.into());
    }
    json_response(ask.revocation().client(&wanted.client_id).await?)
}

/// `GET /api/admin/teams`
pub(crate) async fn teams(ApiAdminRequest(ask): ApiAdminRequest) -> ApiResult {
    let teams: Vec<_> = find::teams(&ask.table)
        .into_iter()
        .map(|(name, routes)| {
            json!({"name": name, "servers": routes.into_iter().map(Server::new).collect::<Vec<_>>()})
        })
        .collect();
    json_response(json!({"teams": teams}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeTeam {
    team: String,
}

/// `POST /api/admin/teams/revoke`
pub(crate) async fn revoke_team(
    ApiAdminWriteRequest(ask): ApiAdminWriteRequest,
    ApiInput(Json(wanted)): ApiInput<Json<RevokeTeam>>,
) -> ApiResult {
    if !find::teams(&ask.table).contains_key(wanted.team.as_str()) {
        return Err(PortalError::NotFound.into());
    }
    json_response(ask.revocation().team(&wanted.team).await?)
}

/// `GET /api/admin/origins`
pub(crate) async fn origins(ApiAdminRequest(ask): ApiAdminRequest) -> ApiResult {
    let origins: Vec<_> = find::origins(&ask.portal, &ask.table)
        .await?
        .iter()
        .map(|found| {
            json!({
                "origin": Origin::new(found.origin), "redirect_uri": found.redirect_uri,
                "connections": found.connections,
                "shared": found.shared.as_ref().map(SharedConnection::new),
            })
        })
        .collect();
    json_response(json!({"origins": origins}))
}

/// `POST /api/admin/origins/{id}/connect`: returns the URL to send the browser to.
pub(crate) async fn connect_origin(
    ApiAdminWriteRequest(ask): ApiAdminWriteRequest,
    Path(id): Path<String>,
) -> ApiResult {
    let origin = ask.table.origin(&id).ok_or(PortalError::NotFound)?;
    let began = connect::begin(&ask, origin).await?;
    let answer = json_response(json!({"url": began.url}))?;
    Ok(page::with_cookies(answer, began.cookie).into_response())
}

/// `POST /api/admin/origins/{id}/revoke`
pub(crate) async fn revoke_origin(
    ApiAdminWriteRequest(ask): ApiAdminWriteRequest,
    Path(id): Path<String>,
) -> ApiResult {
    let origin = ask.table.origin(&id).ok_or(PortalError::NotFound)?;
    json_response(ask.revocation().origin(origin).await?)
}

/// `DELETE /api/admin/grants/{id}`
pub(crate) async fn revoke_grant(
    ApiAdminWriteRequest(ask): ApiAdminWriteRequest,
    Path(id): Path<String>,
) -> ApiResult {
    let grant = ask.portal.store.grant(&id).await?.ok_or(PortalError::NotFound)?;
    json_response(ask.revocation().grant(&grant).await?)
}
