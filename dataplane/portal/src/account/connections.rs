//! `/connections`: the user's accounts at origins.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use crate::account::user_connection::{UserConnection, connections_of};
use crate::connect::manage;
use crate::error::PortalError;
use crate::layout::{Layout, Section};
use crate::page;
use crate::request::{PortalRequest, UserPage};
use crate::time_format::DisplayTime;

/// *My connections*.
#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage<'a> {
    frame: Layout,
    lines: Vec<Line<'a>>,
    /// Whether several users are signed in, so each line shows its user.
    several: bool,
}

struct Line<'a> {
    mine: UserConnection<'a>,
    since: Option<DisplayTime>,
    last: Option<DisplayTime>,
    token: String,
}

/// `GET /connections`
pub(crate) async fn get(UserPage(request): UserPage) -> Result<Response, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    let gateway = &table.gateway;
    let now = portal.clock.now();
    let mut lines = Vec::new();
    for person in visitor.people() {
        for mine in connections_of(&portal, &table, person).await? {
            let subject = manage::subject(mine.origin, person);
            lines.push(Line {
                since: mine.account.connected_at.map(DisplayTime::date),
                last: mine.account.last_used_at.map(|at| DisplayTime::relative(at, now)),
                token: portal.form_token(manage::FORM, &subject, &visitor.binding())?,
                mine,
            });
        }
    }
    let frame = Layout::new(&portal, gateway, &visitor, Section::MyConnections)?;
    let several = visitor.people().nth(1).is_some();
    Ok(page::render(StatusCode::OK, &ConnectionsPage { frame, lines, several }))
}
