//! `/clients`: the clients that act on the user's behalf.

use askama::Template;
use axum::extract::{Form, Path};
use axum::response::Response;
use http::StatusCode;
use portcullis_store::GrantRow;
use serde::Deserialize;

use crate::Portal;
use crate::account::grants::{UserGrant, grants_of, revoke_user_grant};
use crate::error::PortalError;
use crate::layout::{Layout, Section};
use crate::request::{FormRequest, PortalRequest, UserPage};
use crate::visitor::Visitor;
use crate::{page, paths};

const FORM: &str = "grant";

/// *My clients*.
#[derive(Template)]
#[template(path = "clients.html")]
struct ClientsPage {
    frame: Layout,
    lines: Vec<Line>,
    /// Whether several users are signed in, so each line shows its user.
    several: bool,
}

struct Line {
    given: UserGrant,
    person: String,
    token: String,
}

/// `GET /clients`
pub(crate) async fn get(UserPage(request): UserPage) -> Result<Response, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    let gateway = &table.gateway;
    let mut lines = Vec::new();
    for person in visitor.people() {
        for given in grants_of(&portal, &table, &person.id).await? {
            let token = portal.form_token(FORM, &given.grant.id, &visitor.binding())?;
            lines.push(Line { given, person: person.label().to_owned(), token });
        }
    }
    let frame = Layout::new(&portal, gateway, &visitor, Section::MyClients)?;
    let several = visitor.people().nth(1).is_some();
    Ok(page::render(StatusCode::OK, &ClientsPage { frame, lines, several }))
}

#[derive(Deserialize)]
pub(crate) struct RevokeForm {
    token: Option<String>,
}

/// `POST /clients/{grant}/revoke`
pub(crate) async fn revoke(
    Path(id): Path<String>,
    FormRequest(request): FormRequest,
    Form(form): Form<RevokeForm>,
) -> Result<Response, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    portal.check_form_token(FORM, &id, &visitor.binding(), form.token.as_deref())?;
    let grant = find(&portal, &visitor, &id).await?;
    revoke_user_grant(&portal, &table, &grant, "by_person").await?;
    Ok(page::see_other(&format!("{}{}", table.gateway.public_url, paths::MY_CLIENTS)))
}

/// A grant of a user of this browser. Grants of other users are reported as not found.
pub(crate) async fn find(portal: &Portal, visitor: &Visitor, id: &str) -> Result<GrantRow, PortalError> {
    let grant = portal.store.grant(id).await?;
    grant
        .filter(|grant| visitor.people().any(|person| person.id.as_str() == grant.principal))
        .ok_or(PortalError::NotFound)
}
