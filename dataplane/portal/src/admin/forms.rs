//! The forms of the administration pages, each of which revokes access.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_policy::RouteTable;
use serde::Deserialize;

use crate::admin::find;
use crate::admin::require_admin::Admin;
use crate::admin::revoke::{AdminRevocation, RevocationSummary};
use crate::error::PortalError;
use crate::forms::check_same_origin;
use crate::layout::{Layout, Section};
use crate::{Portal, page, paths};

// Names of the forms, for their tokens. The subject of each token is the thing to revoke.
pub(crate) const PERSON_FORM: &str = "admin-person";
pub(crate) const CLIENT_FORM: &str = "admin-client";
pub(crate) const TEAM_FORM: &str = "admin-team";
pub(crate) const ORIGIN_FORM: &str = "admin-origin";
pub(crate) const GRANT_FORM: &str = "admin-grant";

#[derive(Template)]
#[template(path = "admin/ended.html")]
struct RevokedPage<'a> {
    frame: Layout,
    of: &'a str,
    ended: RevocationSummary,
    back: &'a str,
}

fn revoked_page(
    portal: &Portal,
    table: &RouteTable,
    admin: &Admin,
    of: &str,
    ended: RevocationSummary,
    back: &str,
) -> Result<Response, PortalError> {
    let frame = Layout::new(portal, &table.gateway, &admin.visitor, Section::Administration)?;
    Ok(page::render(StatusCode::OK, &RevokedPage { frame, of, ended, back }))
}

pub(crate) async fn check_admin_form(
    portal: &Portal,
    table: &RouteTable,
    headers: &HeaderMap,
    form: &str,
    subject: &str,
    token: Option<&str>,
) -> Result<Admin, PortalError> {
    check_same_origin(&table.gateway, headers)?;
    let admin = Admin::of(portal, table, headers).await?;
    portal.check_form_token(form, subject, &admin.visitor.binding(), token)?;
    Ok(admin)
}

#[derive(Deserialize)]
pub(crate) struct PersonForm {
    token: Option<String>,
    /// Present if the box is ticked.
    connections: Option<String>,
}

/// `POST /admin/people/{id}/revoke`
pub(crate) async fn person(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<PersonForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let admin = check_admin_form(&portal, &table, &headers, PERSON_FORM, &id, form.token.as_deref()).await?;
    let person = find::person(&portal, &id).await?;
    let ending = AdminRevocation { portal: &portal, table: &table, admin: &admin };
    let ended = ending.person(&person, form.connections.is_some()).await?;
    let back = format!("/admin/people/{}", person.id.as_str());
    revoked_page(&portal, &table, &admin, person.label(), ended, &back)
}

/// The fields of the other forms. `of` is used instead of the path for values that can be a URL or contain a
/// slash.
#[derive(Deserialize)]
pub(crate) struct AdminForm {
    pub(crate) token: Option<String>,
    #[serde(default)]
    of: String,
}

/// `POST /admin/clients/revoke`
pub(crate) async fn client(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let admin =
        check_admin_form(&portal, &table, &headers, CLIENT_FORM, &form.of, form.token.as_deref()).await?;
    let ended = AdminRevocation { portal: &portal, table: &table, admin: &admin }.client(&form.of).await?;
    revoked_page(&portal, &table, &admin, &form.of, ended, paths::CLIENTS)
}

/// `POST /admin/teams/revoke`
pub(crate) async fn team(
    State(portal): State<Portal>,
    headers: HeaderMap,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let admin =
        check_admin_form(&portal, &table, &headers, TEAM_FORM, &form.of, form.token.as_deref()).await?;
    if !find::teams(&table).contains_key(form.of.as_str()) {
        return Err(PortalError::NotFound);
    }
    let ended = AdminRevocation { portal: &portal, table: &table, admin: &admin }.team(&form.of).await?;
    revoked_page(&portal, &table, &admin, &form.of, ended, paths::TEAMS)
}

/// `POST /admin/origins/{id}/revoke`
pub(crate) async fn origin(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let admin = check_admin_form(&portal, &table, &headers, ORIGIN_FORM, &id, form.token.as_deref()).await?;
    let origin = table.origin(&id).ok_or(PortalError::NotFound)?;
    let ended = AdminRevocation { portal: &portal, table: &table, admin: &admin }.origin(origin).await?;
    revoked_page(&portal, &table, &admin, &origin.display_name, ended, paths::ORIGINS)
}

/// `POST /admin/grants/{id}/revoke`
pub(crate) async fn grant(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let admin = check_admin_form(&portal, &table, &headers, GRANT_FORM, &id, form.token.as_deref()).await?;
    let grant = portal.store.grant(&id).await?.ok_or(PortalError::NotFound)?;
    AdminRevocation { portal: &portal, table: &table, admin: &admin }.grant(&grant).await?;
    let back = format!("{}/admin/people/{}", table.gateway.public_url, grant.principal);
    Ok(page::see_other(&back))
}
