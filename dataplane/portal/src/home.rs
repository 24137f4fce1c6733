use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_policy::Route;
use portcullis_vault::ConnectionStatus;

use crate::Portal;
use crate::failure::Failure;
use crate::frame::{Frame, Here};
use crate::recipes::Recipes;
use crate::visitor::Visitor;
use crate::welcome::SignIn;
use crate::{page, welcome};

/// What somebody may use, and how.
#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    frame: Frame,
    entries: Vec<Entry<'a>>,
    sign_ins: Vec<SignIn<'a>>,
}

/// A virtual MCP.
struct Entry<'a> {
    route: &'a Route,
    recipes: Recipes,
    /// How the person stands with its origin.
    status: ConnectionStatus,
}

impl Entry<'_> {
    /// Whether an account has to be connected before it does anything.
    fn wants_account(&self) -> bool {
        matches!(self.status, ConnectionStatus::NeverConnected | ConnectionStatus::ReconnectNeeded)
    }

    /// Whether an administrator has to do that.
    fn waits_for_admin(&self) -> bool {
        self.status == ConnectionStatus::AdminNeeded
    }
}

/// `GET /`
pub(crate) async fn get(State(portal): State<Portal>, headers: HeaderMap) -> Result<Response, Failure> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    if visitor.people().next().is_none() {
        return welcome::page(&portal, gateway, &visitor, "/");
    }
    let mut entries = Vec::new();
    for route in table.routes().filter(|route| !route.suspended) {
        let Some(person) = visitor.people().find(|person| route.admit(person).is_some()) else { continue };
        let status = portal.vault.status(&person.id, &route.origin).await?;
        entries.push(Entry { route, recipes: Recipes::new(route), status });
    }
    entries.sort_by_key(|entry| (&entry.route.display_name, &entry.route.slug));
    let page = HomePage {
        frame: Frame::new(&portal, gateway, &visitor, Here::Servers)?,
        entries,
        sign_ins: SignIn::ways(&portal, gateway, &visitor, "/")?,
    };
    Ok(page::render(StatusCode::OK, &page))
}
