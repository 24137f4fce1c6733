//! `/clients`: the clients that act on the user's behalf.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_store::GrantRow;
use serde::Deserialize;

use crate::Portal;
use crate::account::grants::{UserGrant, grants_of, revoke_user_grant};
use crate::error::PortalError;
use crate::forms::check_same_origin;
use crate::layout::{Layout, Section};
use crate::visitor::Visitor;
use crate::{page, paths, welcome};

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
pub(crate) async fn get(State(portal): State<Portal>, headers: HeaderMap) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    if visitor.people().next().is_none() {
        return welcome::page(&portal, gateway, &visitor, paths::MY_CLIENTS);
    }
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
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(form): Form<RevokeForm>,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    check_same_origin(gateway, &headers)?;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    portal.check_form_token(FORM, &id, &visitor.binding(), form.token.as_deref())?;
    let grant = find(&portal, &visitor, &id).await?;
    revoke_user_grant(&portal, &table, &grant, "by_person").await?;
    Ok(page::see_other(&format!("{}{}", gateway.public_url, paths::MY_CLIENTS)))
}

/// A grant of a user of this browser. Grants of other users are reported as not found.
pub(crate) async fn find(portal: &Portal, visitor: &Visitor, id: &str) -> Result<GrantRow, PortalError> {
    let grant = portal.store.grant(id).await?;
    grant
        .filter(|grant| visitor.people().any(|person| person.id.as_str() == grant.principal))
        .ok_or(PortalError::NotFound)
}
