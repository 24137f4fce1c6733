use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::Portal;
use crate::connect::manage;
use crate::failure::Failure;
use crate::frame::{Frame, Here};
use crate::mine::account::{MyAccount, accounts_of};
use crate::visitor::Visitor;
use crate::when::When;
use crate::{page, paths, welcome};

/// *My connections*.
#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage<'a> {
    frame: Frame,
    lines: Vec<Line<'a>>,
    /// Whether each line has to say whose account it is.
    several: bool,
}

struct Line<'a> {
    mine: MyAccount<'a>,
    since: Option<When>,
    last: Option<When>,
    token: String,
}

/// `GET /connections`
pub(crate) async fn get(State(portal): State<Portal>, headers: HeaderMap) -> Result<Response, Failure> {
    let table = portal.table()?;
    let gateway = &table.gateway;
    let visitor = Visitor::of(&portal, gateway, &headers).await?;
    if visitor.people().next().is_none() {
        return welcome::page(&portal, gateway, &visitor, paths::MY_ACCOUNTS);
    }
    let now = portal.clock.now();
    let mut lines = Vec::new();
    for person in visitor.people() {
        for mine in accounts_of(&portal, &table, person).await? {
            let subject = manage::subject(mine.origin, person);
            lines.push(Line {
                since: mine.account.connected_at.map(When::since),
                last: mine.account.last_used_at.map(|at| When::last(at, now)),
                token: portal.form_token(manage::FORM, &subject, &visitor.binding())?,
                mine,
            });
        }
    }
    let frame = Frame::new(&portal, gateway, &visitor, Here::Accounts)?;
    let several = visitor.people().nth(1).is_some();
    Ok(page::render(StatusCode::OK, &ConnectionsPage { frame, lines, several }))
}
