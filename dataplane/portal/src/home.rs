//! The start page: the virtual MCPs that a user can use, each with its address and setup instructions.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use portcullis_origin_auth::ConnectionStatus;
use portcullis_policy::Route;

use crate::client_setup::ClientSetup;
use crate::error::PortalError;
use crate::layout::{Layout, Section};
use crate::page;
use crate::request::{PortalRequest, UserPage};
use crate::welcome::SignInOption;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    frame: Layout,
    entries: Vec<Entry<'a>>,
    sign_ins: Vec<SignInOption<'a>>,
}

struct Entry<'a> {
    route: &'a Route,
    recipes: ClientSetup,
    /// The user's connection to the route's origin.
    status: ConnectionStatus,
}

impl Entry<'_> {
    /// Whether the user must connect an account first.
    fn wants_account(&self) -> bool {
        matches!(self.status, ConnectionStatus::NeverConnected | ConnectionStatus::ReconnectNeeded)
    }

    /// Whether an administrator must connect the shared account first.
    fn waits_for_admin(&self) -> bool {
        self.status == ConnectionStatus::AdminNeeded
    }
}

/// `GET /`
pub(crate) async fn get(UserPage(request): UserPage) -> Result<Response, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    let gateway = &table.gateway;
    let mut entries = Vec::new();
    for route in table.routes().filter(|route| !route.suspended) {
        let Some(person) = visitor.people().find(|person| route.authorize(person).is_some()) else {
            continue;
        };
        let status = portal.broker.accounts.status(&person.id, &route.origin).await?;
        entries.push(Entry { route, recipes: ClientSetup::new(route), status });
    }
    entries.sort_by_key(|entry| (&entry.route.display_name, &entry.route.slug));
    let page = HomePage {
        frame: Layout::new(&portal, gateway, &visitor, Section::Servers)?,
        entries,
        sign_ins: SignInOption::available(&portal, gateway, &visitor, "/")?,
    };
    Ok(page::render(StatusCode::OK, &page))
}
