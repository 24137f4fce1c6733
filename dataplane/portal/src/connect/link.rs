//! Connect links: `/connect/{origin}?ticket=…`, which an app shows when a call needs an account.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_clock::NoRandomness;
use portcullis_keyring::digest;
use portcullis_policy::{Origin, Principal, PrincipalId, Route, RouteTable};
use portcullis_store::{ConnectLinkRow, StoreError};
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use crate::Portal;
use crate::error::PortalError;
use crate::page;
use crate::request::{FormRequest, PortalRequest};
use crate::sign_in::start;
use crate::visitor::Visitor;

/// Lifetime of a link, in seconds.
const LIFETIME: u64 = 15 * 60;

const FORM: &str = "connect-link";

/// Why a connect link could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectLinkError {
    /// Storing the link failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Random bytes are unavailable.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Creates a link. Only the digest of its ticket is stored.
pub(crate) async fn create_link(
    portal: &Portal,
    table: &RouteTable,
    who: &PrincipalId,
    route: &Route,
) -> Result<String, ConnectLinkError> {
    portal.prune_expired().await;
    let ticket = portal.random.token()?;
    let row = ConnectLinkRow {
        id: digest(&ticket),
        principal: who.as_str().to_owned(),
        origin_uid: route.origin.uid.to_string(),
        route_uid: route.uid.to_string(),
        expires_at: portal.clock.now().after_seconds(LIFETIME).0,
    };
    portal.store.put_connect_link(&row).await?;
    Ok(format!("{}/connect/{}?ticket={ticket}", table.gateway.public_url, route.origin.id))
}

/// The page for the user for whom the link was created.
#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage<'a> {
    origin: &'a Origin,
    host: &'a str,
    route: &'a Route,
    person: &'a Principal,
    /// Scopes that the origin requested and the account does not have yet.
    more: Vec<String>,
    ticket: &'a str,
    token: String,
}

/// The page for a browser without a sign-in.
#[derive(Template)]
#[template(path = "sign_in_first.html")]
struct SignInFirstPage<'a> {
    origin: &'a Origin,
    provider: &'a str,
    return_to: String,
    token: String,
}

#[derive(Deserialize)]
pub(crate) struct LinkQuery {
    ticket: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct LinkForm {
    ticket: Option<String>,
    token: Option<String>,
}

/// A valid link, with its origin and route.
struct ConnectLink<'a> {
    row: ConnectLinkRow,
    origin: &'a std::sync::Arc<Origin>,
    route: &'a std::sync::Arc<Route>,
}

impl<'a> ConnectLink<'a> {
    async fn find(
        portal: &Portal,
        table: &'a RouteTable,
        origin: &str,
        ticket: &str,
    ) -> Result<Self, PortalError> {
        let origin = table.origin(origin).ok_or(PortalError::NotFound)?;
        let row = portal.store.connect_link(&digest(ticket), portal.clock.now().0).await?;
        let row = row.filter(|row| *row.origin_uid == *origin.uid).ok_or(PortalError::LinkExpired)?;
        let route = table.route_by_uid(&row.route_uid).ok_or(PortalError::LinkExpired)?;
        if route.suspended {
            return Err(PortalError::Suspended(route.display_name.clone()));
        }
        Ok(Self { row, origin, route })
    }

    /// The signed-in user, who must be the one for whom the link was created. `None` without a sign-in.
    ///
    /// # Errors
    /// When another user is signed in, or the user may not use the route.
    fn person<'v>(
        &self,
        portal: &Portal,
        table: &RouteTable,
        visitor: &'v Visitor,
    ) -> Result<Option<&'v Principal>, PortalError> {
        let Some(signed_in) = visitor.signed_in(&self.route.identity_provider.name) else { return Ok(None) };
        let person = &signed_in.principal;
        let denied =
            |reason| portal.record_denied(table, Some(person), Some(self.route), self.origin, reason);
        if person.id.as_str() != self.row.principal {
            denied("link_of_another");
            return Err(PortalError::WrongAccount(person.label().to_owned()));
        }
        if self.route.authorize(person).is_none() {
            denied("no_team");
            let account = person.label().to_owned();
            return Err(PortalError::NoAccess { account, route: self.route.display_name.clone() });
        }
        Ok(Some(person))
    }
}

/// `GET /connect/{origin}?ticket=…`
pub(crate) async fn get(
    State(portal): State<Portal>,
    Path(origin): Path<String>,
    Query(link): Query<LinkQuery>,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let secret = link.ticket.unwrap_or_default();
    let ticket = ConnectLink::find(&portal, &table, &origin, &secret).await?;
    let visitor = Visitor::of(&portal, &table.gateway, &headers).await?;
    let Some(person) = ticket.person(&portal, &table, &visitor)? else {
        let provider = &*ticket.route.identity_provider.name;
        let encoded: String = byte_serialize(secret.as_bytes()).collect();
        let return_to = format!("/connect/{}?ticket={encoded}", ticket.origin.id);
        let token = start::form_token(&portal, provider, &return_to)?;
        let page = SignInFirstPage { origin: ticket.origin, provider, return_to, token };
        return Ok(page::render(StatusCode::OK, &page));
    };
    let page = ConnectPage {
        origin: ticket.origin,
        host: ticket.origin.url.host_str().unwrap_or_default(),
        route: ticket.route,
        person,
        more: portal.broker.pending_scopes(&person.id, ticket.origin).await?,
        ticket: &secret,
        token: portal.form_token(FORM, &secret, &visitor.binding())?,
    };
    Ok(page::render(StatusCode::OK, &page))
}

/// `POST /connect/{origin}`: redirects the user to the origin's authorization server. Only this uses up the
/// link.
pub(crate) async fn post(
    Path(origin): Path<String>,
    FormRequest(request): FormRequest,
    Form(form): Form<LinkForm>,
) -> Result<Response, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    let gateway = &table.gateway;
    let secret = form.ticket.unwrap_or_default();
    portal.check_form_token(FORM, &secret, &visitor.binding(), form.token.as_deref())?;
    let ticket = ConnectLink::find(&portal, &table, &origin, &secret).await?;
    let person = ticket.person(&portal, &table, &visitor)?.ok_or(PortalError::InvalidForm)?;
    let browser = visitor.browser_or_new(&portal, gateway)?;
    let return_to = format!("/connect/{}/done", ticket.origin.id);
    let url = portal
        .broker
        .connect_flows
        .begin(&person.id, gateway, ticket.origin, &browser.id, &return_to)
        .await
        .map_err(|error| PortalError::connect(&error, None))?;
    if !portal.store.use_connect_link(&ticket.row.id, portal.clock.now().0).await? {
        return Err(PortalError::LinkExpired);
    }
    Ok(page::with_cookies(page::redirect_page(url.as_str(), &ticket.origin.display_name), browser.cookie))
}
