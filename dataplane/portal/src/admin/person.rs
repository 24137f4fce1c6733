//! `/admin/people/{id}`: a user's clients and connections.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use portcullis_policy::Principal;

use crate::account::grants::{UserGrant, grants_of};
use crate::account::user_connection::{UserConnection, connections_of};
use crate::admin::find;
use crate::admin::forms::{GRANT_FORM, PERSON_FORM};
use crate::admin::require_admin::{Admin, AdminPage, AdminRequest};
use crate::error::PortalError;
use crate::layout::{Layout, Section};
use crate::page;

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
    Path(id): Path<String>,
    AdminPage(request): AdminPage,
) -> Result<Response, PortalError> {
    let AdminRequest { portal, table, admin: Admin { visitor, .. } } = request;
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
