use axum::Json;
use axum::extract::{Path, Query};
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::json;

use crate::admin::connect;
use crate::admin::end::Ending;
use crate::admin::find::{self, Part, Seek};
use crate::admin::gate::Admin;
use crate::api::answer::{Answer, document};
use crate::api::ask::{Ask, Change, Read};
use crate::api::mine::{Connection, Grant, Origin, Person, Server, Shared};
use crate::failure::Failure;
use crate::mine::account::{MyAccount, accounts_of};
use crate::mine::given::{given_by, published_by};
use crate::page;

/// `GET /api/admin/people`
pub(crate) async fn people(ask: Ask, Read(Query(seek)): Read<Query<Seek>>) -> Answer {
    Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let Part { found, next } = seek.people(&ask.portal).await?;
    let people: Vec<_> = found
        .iter()
        .map(|row| {
            json!({
                "id": row.id, "identity_provider": row.identity_provider, "subject": row.subject,
                "email": row.email, "name": row.display_name,
            })
        })
        .collect();
    document(json!({"people": people, "next": next}))
}

/// `GET /api/admin/people/{id}`
pub(crate) async fn person(ask: Ask, Path(id): Path<String>) -> Answer {
    Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let person = find::person(&ask.portal, &id).await?;
    let given = given_by(&ask.portal, &ask.table, &person.id).await?;
    let mut accounts = accounts_of(&ask.portal, &ask.table, &person).await?;
    accounts.retain(MyAccount::is_kept);
    document(json!({
        "person": Person::new(&person),
        "sessions": ask.portal.store.sessions_of(person.id.as_str(), ask.portal.clock.now().0).await?,
        "clients": given.iter().map(Grant::new).collect::<Vec<_>>(),
        "connections": accounts.iter().map(Connection::new).collect::<Vec<_>>(),
    }))
}

/// Of a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokePerson {
    /// Their accounts at origins too.
    #[serde(default)]
    connections: bool,
}

/// `POST /api/admin/people/{id}/revoke`
pub(crate) async fn revoke_person(
    Change(ask): Change,
    Path(id): Path<String>,
    Read(Json(wanted)): Read<Json<RevokePerson>>,
) -> Answer {
    let admin = Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let person = find::person(&ask.portal, &id).await?;
    document(ending(&ask, &admin).person(&person, wanted.connections).await?)
}

/// `GET /api/admin/clients`
pub(crate) async fn clients(ask: Ask, Read(Query(seek)): Read<Query<Seek>>) -> Answer {
    Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let Part { found, next } = seek.clients(&ask.portal).await?;
    let clients: Vec<_> = found
        .iter()
        .map(|row| {
            json!({
                "id": row.client_id, "name": row.client_name, "published_by": published_by(&row.client_id),
                "grants": row.grants, "people": row.people,
            })
        })
        .collect();
    document(json!({"clients": clients, "next": next}))
}

/// Of a client.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeClient {
    client_id: String,
}

/// `POST /api/admin/clients/revoke`. A client's id may be a URL, so it is in the body.
pub(crate) async fn revoke_client(
    Change(ask): Change,
    Read(Json(wanted)): Read<Json<RevokeClient>>,
) -> Answer {
    let admin = Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    if wanted.client_id.contains('\0') {
        return Err(Failure::NotFound.into());
    }
    document(ending(&ask, &admin).client(&wanted.client_id).await?)
}

/// `GET /api/admin/teams`
pub(crate) async fn teams(ask: Ask) -> Answer {
    Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let teams: Vec<_> = find::teams(&ask.table)
        .into_iter()
        .map(|(name, routes)| {
            json!({"name": name, "servers": routes.into_iter().map(Server::new).collect::<Vec<_>>()})
        })
        .collect();
    document(json!({"teams": teams}))
}

/// Of a team.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeTeam {
    team: String,
}

/// `POST /api/admin/teams/revoke`
pub(crate) async fn revoke_team(Change(ask): Change, Read(Json(wanted)): Read<Json<RevokeTeam>>) -> Answer {
    let admin = Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    if !find::teams(&ask.table).contains_key(wanted.team.as_str()) {
        return Err(Failure::NotFound.into());
    }
    document(ending(&ask, &admin).team(&wanted.team).await?)
}

/// `GET /api/admin/origins`
pub(crate) async fn origins(ask: Ask) -> Answer {
    Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let origins: Vec<_> = find::origins(&ask.portal, &ask.table)
        .await?
        .iter()
        .map(|found| {
            json!({
                "origin": Origin::new(found.origin), "redirect_uri": found.redirect_uri,
                "connections": found.connections,
                "shared": found.shared.as_ref().map(Shared::new),
            })
        })
        .collect();
    document(json!({"origins": origins}))
}

/// `POST /api/admin/origins/{id}/connect`: where to send the browser.
pub(crate) async fn connect_origin(Change(ask): Change, Path(id): Path<String>) -> Answer {
    let admin = Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let origin = ask.table.origin(&id).ok_or(Failure::NotFound)?;
    let began = connect::begin(&ask.portal, &ask.table, &admin, origin).await?;
    let answer = document(json!({"url": began.url}))?;
    Ok(page::with_cookies(answer, began.cookie).into_response())
}

/// `POST /api/admin/origins/{id}/revoke`
pub(crate) async fn revoke_origin(Change(ask): Change, Path(id): Path<String>) -> Answer {
    let admin = Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let origin = ask.table.origin(&id).ok_or(Failure::NotFound)?;
    document(ending(&ask, &admin).origin(origin).await?)
}

/// `DELETE /api/admin/grants/{id}`
pub(crate) async fn revoke_grant(Change(ask): Change, Path(id): Path<String>) -> Answer {
    let admin = Admin::of(&ask.portal, &ask.table, &ask.headers).await?;
    let grant = ask.portal.store.grant(&id).await?.ok_or(Failure::NotFound)?;
    document(ending(&ask, &admin).grant(&grant).await?)
}

fn ending<'a>(ask: &'a Ask, admin: &'a Admin) -> Ending<'a> {
    Ending { portal: &ask.portal, table: &ask.table, admin }
}
