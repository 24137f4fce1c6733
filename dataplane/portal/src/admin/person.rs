use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_policy::Principal;

use crate::admin::find;
use crate::admin::forms::{GRANT, PERSON};
use crate::admin::gate::{Admin, Gate};
use crate::failure::Failure;
use crate::frame::{Frame, Here};
use crate::mine::account::{MyAccount, accounts_of};
use crate::mine::given::{Given, given_by};
use crate::paths::PEOPLE;
use crate::{Portal, page, welcome};

/// What somebody has been given and has connected.
#[derive(Template)]
#[template(path = "admin/person.html")]
struct PersonPage<'a> {
    frame: Frame,
    person: &'a Principal,
    sessions: i64,
    given: Vec<(Given, String)>,
    accounts: Vec<MyAccount<'a>>,
    token: String,
}

/// `GET /admin/people/{id}`
pub(crate) async fn get(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let table = portal.table()?;
    let Admin { visitor, .. } = match Gate::of(&portal, &table, &headers).await? {
        Gate::Admin(admin) => admin,
        Gate::Stranger(visitor) => return welcome::page(&portal, &table.gateway, &visitor, PEOPLE),
    };
    let person = find::person(&portal, &id).await?;
    let mut given = Vec::new();
    for each in given_by(&portal, &table, &person.id).await? {
        let token = portal.form_token(GRANT, &each.grant.id, &visitor.binding())?;
        given.push((each, token));
    }
    let mut accounts = accounts_of(&portal, &table, &person).await?;
    accounts.retain(MyAccount::is_kept);
    let page = PersonPage {
        frame: Frame::new(&portal, &table.gateway, &visitor, Here::Administration)?,
        sessions: portal.store.sessions_of(person.id.as_str(), portal.clock.now().0).await?,
        given,
        accounts,
        token: portal.form_token(PERSON, person.id.as_str(), &visitor.binding())?,
        person: &person,
    };
    Ok(page::render(StatusCode::OK, &page))
}
