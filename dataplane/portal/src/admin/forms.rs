//! The forms of the administration pages, each of which revokes access.

use askama::Template;
use axum::extract::{Form, Path};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::admin::find;
use crate::admin::require_admin::{AdminFormRequest, AdminRequest};
use crate::admin::revoke::RevocationSummary;
use crate::error::PortalError;
use crate::layout::{Layout, Section};
use crate::{page, paths};

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
    request: &AdminRequest,
    of: &str,
    ended: RevocationSummary,
    back: &str,
) -> Result<Response, PortalError> {
    let AdminRequest { portal, table, admin } = request;
    let frame = Layout::new(portal, &table.gateway, &admin.visitor, Section::Administration)?;
    Ok(page::render(StatusCode::OK, &RevokedPage { frame, of, ended, back }))
}

#[derive(Deserialize)]
pub(crate) struct PersonForm {
    token: Option<String>,
    /// Present if the box is ticked.
    connections: Option<String>,
}

/// `POST /admin/people/{id}/revoke`
pub(crate) async fn person(
    Path(id): Path<String>,
    request: AdminFormRequest,
    Form(form): Form<PersonForm>,
) -> Result<Response, PortalError> {
    let request = request.verify(PERSON_FORM, &id, form.token.as_deref())?;
    let person = find::person(&request.portal, &id).await?;
    let ended = request.revocation().person(&person, form.connections.is_some()).await?;
    let back = format!("/admin/people/{}", person.id.as_str());
    revoked_page(&request, person.label(), ended, &back)
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
    request: AdminFormRequest,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let request = request.verify(CLIENT_FORM, &form.of, form.token.as_deref())?;
    let ended = request.revocation().client(&form.of).await?;
    revoked_page(&request, &form.of, ended, paths::CLIENTS)
}

/// `POST /admin/teams/revoke`
pub(crate) async fn team(
    request: AdminFormRequest,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let request = request.verify(TEAM_FORM, &form.of, form.token.as_deref())?;
    if !find::teams(&request.table).contains_key(form.of.as_str()) {
        return Err(PortalError::NotFound);
    }
    let ended = request.revocation().team(&form.of).await?;
    revoked_page(&request, &form.of, ended, paths::TEAMS)
}

/// `POST /admin/origins/{id}/revoke`
pub(crate) async fn origin(
    Path(id): Path<String>,
    request: AdminFormRequest,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let request = request.verify(ORIGIN_FORM, &id, form.token.as_deref())?;
    let origin = request.table.origin(&id).ok_or(PortalError::NotFound)?;
    let ended = request.revocation().origin(origin).await?;
    revoked_page(&request, &origin.display_name, ended, paths::ORIGINS)
}

/// `POST /admin/grants/{id}/revoke`
pub(crate) async fn grant(
    Path(id): Path<String>,
    request: AdminFormRequest,
    Form(form): Form<AdminForm>,
) -> Result<Response, PortalError> {
    let request = request.verify(GRANT_FORM, &id, form.token.as_deref())?;
    let grant = request.portal.store.grant(&id).await?.ok_or(PortalError::NotFound)?;
    request.revocation().grant(&grant).await?;
    let back = format!("{}/admin/people/{}", request.table.gateway.public_url, grant.principal);
    Ok(page::see_other(&back))
}
