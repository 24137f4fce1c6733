//! `/admin/people/{id}`: a user's clients and connections.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_policy::Principal;

use crate::account::grants::{UserGrant, grants_of};
use crate::account::user_connection::{UserConnection, connections_of};
use crate::admin::find;
use crate::admin::forms::{GRANT_FORM, PERSON_FORM};
use crate::admin::require_admin::{Admin, AdminCheck};
use crate::error::PortalError;
use crate::layout::{Layout, Section};
use crate::paths::PEOPLE;
use crate::{Portal, page, welcome};

#[derive(Template)]
#[template(path = "admin/person.html")]
struct PersonPage<'a> {
    frame: Layout,
    person: &'a Principal,
    sessions: i64,
    given: Vec<(UserGrant, String)>,
    accounts: Vec<UserConnection<'a>>,
    token: String,
}

/// `GET /admin/people/{id}`
pub(crate) async fn get(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let Admin { visitor, .. } = match AdminCheck::of(&portal, &table, &headers).await? {
        AdminCheck::Admin(admin) => admin,
        AdminCheck::SignedOut(visitor) => return welcome::page(&portal, &table.gateway, &visitor, PEOPLE),
    };
    let person = find::person(&portal, &id).await?;
    let mut given = Vec::new();
    for each in grants_of(&portal, &table, &person.id).await? {
        let token = portal.form_token(GRANT_FORM, &each.grant.id, &visitor.binding())?;
        given.push((each, token));
    }
    let mut accounts = connections_of(&portal, &table, &person).await?;
    accounts.retain(UserConnection::is_kept);
    let page = PersonPage {
        frame: Layout::new(&portal, &table.gateway, &visitor, Section::Administration)?,
        sessions: portal.store.count_sessions_of(person.id.as_str(), portal.clock.now().0).await?,
        given,
        accounts,
        token: portal.form_token(PERSON_FORM, person.id.as_str(), &visitor.binding())?,
        person: &person,
    };
    Ok(page::render(StatusCode::OK, &page))
}
