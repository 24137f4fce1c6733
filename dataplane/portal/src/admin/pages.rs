//! The lists of the administration: `/admin`, `/admin/clients`, `/admin/teams` and `/admin/origins`.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use portcullis_policy::Route;
use portcullis_store::{ClientInUseRow, PrincipalRow};
use url::form_urlencoded::Serializer;

use crate::account::grants::published_by;
use crate::admin::find::{self, ListPage, ListQuery, OriginInUse};
use crate::admin::forms::{CLIENT_FORM, ORIGIN_FORM, TEAM_FORM};
use crate::admin::require_admin::{AdminPage, AdminRequest};
use crate::error::PortalError;
use crate::layout::{Layout, Section};
use crate::page;
use crate::paths::{CLIENTS, ORIGINS, PEOPLE, TEAMS};

/// Navigation of a list: its path, search text and next page.
struct ListControls {
    path: &'static str,
    q: String,
    /// URL of the next page.
    next: Option<String>,
}

impl ListControls {
    fn new(path: &'static str, seek: &ListQuery, next: Option<&str>) -> Self {
        let next = next.map(|after| {
            let mut query = Serializer::new(String::new());
            query.append_pair("q", &seek.q).append_pair("after", after);
            format!("{path}?{}", query.finish())
        });
        Self { path, q: seek.q.clone(), next }
    }

    fn at(&self, path: &str) -> bool {
        self.path == path
    }
}

#[derive(Template)]
#[template(path = "admin/people.html")]
struct PeoplePage {
    frame: Layout,
    list: ListControls,
    people: Vec<PrincipalRow>,
}

#[derive(Template)]
#[template(path = "admin/clients.html")]
struct ClientsPage {
    frame: Layout,
    list: ListControls,
    clients: Vec<ClientLine>,
}

struct ClientLine {
    client: ClientInUseRow,
    published_by: Option<String>,
    token: String,
}

#[derive(Template)]
#[template(path = "admin/teams.html")]
struct TeamsPage<'a> {
    frame: Layout,
    list: ListControls,
    teams: Vec<TeamLine<'a>>,
}

struct TeamLine<'a> {
    name: &'a str,
    routes: Vec<&'a Route>,
    token: String,
}

#[derive(Template)]
#[template(path = "admin/origins.html")]
struct OriginsPage<'a> {
    frame: Layout,
    list: ListControls,
    origins: Vec<OriginLine<'a>>,
}

struct OriginLine<'a> {
    found: OriginInUse<'a>,
    token: String,
}

/// `GET /admin`: people.
pub(crate) async fn people(
    Query(seek): Query<ListQuery>,
    AdminPage(request): AdminPage,
) -> Result<Response, PortalError> {
    let AdminRequest { portal, table, admin } = request;
    let ListPage { found: people, next } = seek.people(&portal).await?;
    let frame = Layout::new(&portal, &table.gateway, &admin.visitor, Section::Administration)?;
    let list = ListControls::new(PEOPLE, &seek, next.as_deref());
    Ok(page::render(StatusCode::OK, &PeoplePage { frame, list, people }))
}

/// `GET /admin/clients`
pub(crate) async fn clients(
    Query(seek): Query<ListQuery>,
    AdminPage(request): AdminPage,
) -> Result<Response, PortalError> {
    let AdminRequest { portal, table, admin } = request;
    let ListPage { found, next } = seek.clients(&portal).await?;
    let frame = Layout::new(&portal, &table.gateway, &admin.visitor, Section::Administration)?;
    let list = ListControls::new(CLIENTS, &seek, next.as_deref());
    let mut clients = Vec::new();
    for client in found {
        clients.push(ClientLine {
            token: portal.form_token(CLIENT_FORM, &client.client_id, &admin.visitor.binding())?,
            published_by: published_by(&client.client_id),
            client,
        });
    }
    Ok(page::render(StatusCode::OK, &ClientsPage { frame, list, clients }))
}

/// `GET /admin/teams`
pub(crate) async fn teams(AdminPage(request): AdminPage) -> Result<Response, PortalError> {
    let AdminRequest { portal, table, admin } = request;
    let frame = Layout::new(&portal, &table.gateway, &admin.visitor, Section::Administration)?;
    let list = ListControls::new(TEAMS, &ListQuery::default(), None);
    let mut teams = Vec::new();
    for (name, routes) in find::teams(&table) {
        let token = portal.form_token(TEAM_FORM, name, &admin.visitor.binding())?;
        teams.push(TeamLine { name, routes, token });
    }
    Ok(page::render(StatusCode::OK, &TeamsPage { frame, list, teams }))
}

/// `GET /admin/origins`
pub(crate) async fn origins(AdminPage(request): AdminPage) -> Result<Response, PortalError> {
    let AdminRequest { portal, table, admin } = request;
    let frame = Layout::new(&portal, &table.gateway, &admin.visitor, Section::Administration)?;
    let list = ListControls::new(ORIGINS, &ListQuery::default(), None);
    let mut origins = Vec::new();
    for found in find::origins(&portal, &table).await? {
        let token = portal.form_token(ORIGIN_FORM, &found.origin.id, &admin.visitor.binding())?;
        origins.push(OriginLine { found, token });
    }
    Ok(page::render(StatusCode::OK, &OriginsPage { frame, list, origins }))
}
