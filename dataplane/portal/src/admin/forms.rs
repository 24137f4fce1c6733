use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_policy::RouteTable;
use serde::Deserialize;

use crate::admin::end::{Ended, Ending};
use crate::admin::find;
use crate::admin::gate::Admin;
use crate::failure::Failure;
use crate::forms::check_same_origin;
use crate::frame::{Frame, Here};
use crate::{Portal, page, paths};

// The names of the forms, for their tokens. The subject of each is what it ends.
pub(crate) const PERSON: &str = "admin-person";
pub(crate) const CLIENT: &str = "admin-client";
pub(crate) const TEAM: &str = "admin-team";
pub(crate) const ORIGIN: &str = "admin-origin";
pub(crate) const GRANT: &str = "admin-grant";

/// What has ended.
#[derive(Template)]
#[template(path = "admin/ended.html")]
struct EndedPage<'a> {
    frame: Frame,
    of: &'a str,
    ended: Ended,
    back: &'a str,
}

fn ended_page(
    portal: &Portal,
    table: &RouteTable,
    admin: &Admin,
    of: &str,
    ended: Ended,
    back: &str,
) -> Result<Response, Failure> {
    let frame = Frame::new(portal, &table.gateway, &admin.visitor, Here::Administration)?;
    Ok(page::render(StatusCode::OK, &EndedPage { frame, of, ended, back }))
}

pub(crate) async fn check(
    portal: &Portal,
    table: &RouteTable,
    headers: &HeaderMap,
    form: &str,
    subject: &str,
    token: Option<&str>,
) -> Result<Admin, Failure> {
    check_same_origin(&table.gateway, headers)?;
    let admin = Admin::of(portal, table, headers).await?;
    portal.check_form(form, subject, &admin.visitor.binding(), token)?;
    Ok(admin)
}

/// What a person's form sends.
#[derive(Deserialize)]
pub(crate) struct PersonForm {
    token: Option<String>,
    /// There where the box is ticked.
    connections: Option<String>,
}

/// `POST /admin/people/{id}/revoke`
pub(crate) async fn person(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<PersonForm>,
) -> Result<Response, Failure> {
    let table = portal.table()?;
    let admin = check(&portal, &table, &headers, PERSON, &id, form.token.as_deref()).await?;
    let person = find::person(&portal, &id).await?;
    let ending = Ending { portal: &portal, table: &table, admin: &admin };
    let ended = ending.person(&person, form.connections.is_some()).await?;
    let back = format!("/admin/people/{}", person.id.as_str());
    ended_page(&portal, &table, &admin, person.label(), ended, &back)
}

/// What the other forms send. What they are about is not in their address where it may be a URL or hold a slash.
#[derive(Deserialize)]
pub(crate) struct OtherForm {
    pub(crate) token: Option<String>,
    #[serde(default)]
    of: String,
}

/// `POST /admin/clients/revoke`
pub(crate) async fn client(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Form(form): Form<OtherForm>,
) -> Result<Response, Failure> {
    let table = portal.table()?;
    let admin = check(&portal, &table, &headers, CLIENT, &form.of, form.token.as_deref()).await?;
    let ended = Ending { portal: &portal, table: &table, admin: &admin }.client(&form.of).await?;
    ended_page(&portal, &table, &admin, &form.of, ended, paths::CLIENTS)
}

/// `POST /admin/teams/revoke`
pub(crate) async fn team(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Form(form): Form<OtherForm>,
) -> Result<Response, Failure> {
    let table = portal.table()?;
    let admin = check(&portal, &table, &headers, TEAM, &form.of, form.token.as_deref()).await?;
    if !find::teams(&table).contains_key(form.of.as_str()) {
        return Err(Failure::NotFound);
    }
    let ended = Ending { portal: &portal, table: &table, admin: &admin }.team(&form.of).await?;
    ended_page(&portal, &table, &admin, &form.of, ended, paths::TEAMS)
}

/// `POST /admin/origins/{id}/revoke`
pub(crate) async fn origin(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<OtherForm>,
) -> Result<Response, Failure> {
    let table = portal.table()?;
    let admin = check(&portal, &table, &headers, ORIGIN, &id, form.token.as_deref()).await?;
    let origin = table.origin(&id).ok_or(Failure::NotFound)?;
    let ended = Ending { portal: &portal, table: &table, admin: &admin }.origin(origin).await?;
    ended_page(&portal, &table, &admin, &origin.display_name, ended, paths::ORIGINS)
}

/// `POST /admin/grants/{id}/revoke`
pub(crate) async fn grant(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<OtherForm>,
) -> Result<Response, Failure> {
    let table = portal.table()?;
    let admin = check(&portal, &table, &headers, GRANT, &id, form.token.as_deref()).await?;
    let grant = portal.store.grant(&id).await?.ok_or(Failure::NotFound)?;
    Ending { portal: &portal, table: &table, admin: &admin }.grant(&grant).await?;
    let back = format!("{}/admin/people/{}", table.gateway.public_url, grant.principal);
    Ok(page::see_other(&back))
}
