//! `/consent/{id}`: the pages on which a user approves, confirms or denies a client.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use portcullis_events::{EventKind, Outcome};
use portcullis_origin_auth::ConnectionStatus;
use portcullis_policy::{Gateway, Principal, RouteTable};
use serde::Deserialize;

use crate::Portal;
use crate::authorize::pending::{Authenticated, Authorization, PendingAuthorization, Step};
use crate::authorize::redirect::{Destination, OAuthError};
use crate::authorize::{authorization_event, record};
use crate::error::PortalError;
use crate::request::{FormRequest, PortalRequest};
use crate::sign_in::start::{self, SignInStart};
use crate::visitor::Visitor;
use crate::{cookies::CookieKind, page};

/// Form for browsers without a sign-in. Its token is bound only to the request, because the browser gets no
/// cookie before it approves something. The form can only deny the request or lead to the sign-in.
const APPROVE_FORM: &str = "approve";
/// Form for signed-in users, bound to browser and session.
pub(super) const CONFIRM_FORM: &str = "confirm";

/// The consent page, before sign-in (without `person`) and after.
#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    asking: ConsentDetails<'a>,
    id: &'a str,
    token: String,
    person: Option<&'a Principal>,
    origin: Option<OriginLine<'a>>,
}

/// The page for a user who may not use the route.
#[derive(Template)]
#[template(path = "no_access.html")]
struct NoAccessPage<'a> {
    asking: ConsentDetails<'a>,
    id: &'a str,
    token: String,
    person: &'a Principal,
}

/// The details of a request that both pages show.
struct ConsentDetails<'a> {
    client: &'a str,
    /// Host of the client's metadata document; `None` if its name is unverified.
    client_host: Option<String>,
    destination: String,
    /// Whether the client runs on the user's machine and can therefore be any program.
    local: bool,
    route: &'a str,
    url: &'a str,
    description: &'a str,
    provider: &'a str,
}

struct OriginLine<'a> {
    name: &'a str,
    status: ConnectionStatus,
}

impl OriginLine<'_> {
    fn connected(&self) -> bool {
        self.status == ConnectionStatus::Connected
    }

    fn again(&self) -> bool {
        self.status == ConnectionStatus::ReconnectNeeded
    }
}

impl<'a> ConsentDetails<'a> {
    fn of(authorization: &'a Authorization) -> Self {
        let Authorization { asked, client, route, .. } = authorization;
        let destination = Destination::of(&asked.answer.redirect_uri);
        let host = |url: &str| url::Url::parse(url).ok()?.host_str().map(ToOwned::to_owned);
        Self {
            client: &client.name,
            client_host: host(&client.id).filter(|_| client.from_document),
            local: !matches!(destination, Destination::Site(_)),
            destination: destination.describe(),
            route: &route.display_name,
            url: &route.url,
            description: &route.description,
            provider: &route.identity_provider.name,
        }
    }
}

/// `GET /consent/{id}`
pub(crate) async fn get(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let table = portal.table()?;
    let visitor = Visitor::of(&portal, &table.gateway, &headers).await?;
    let pending = PendingAuthorization::find(&portal, &visitor, &id).await?;
    let authorization = Authorization::of(&portal, &table, pending.asked.clone()).await?;
    match authorization.next(&portal, &visitor, pending.browser.is_some()).await? {
        Step::Approve(authorization) | Step::SignIn(authorization) => {
            approve_page(&portal, &authorization, &id)
        }
        Step::NoAccess(known) => {
            let mut event = authorization_event(
                &portal,
                &table,
                &known.authorization,
                EventKind::PolicyDenied,
                Outcome::Denied,
            );
            event.subject = Some(Arc::clone(&known.principal.subject));
            event.reason = Some("no_team");
            portal.events.record(event);
            no_access_page(&portal, &visitor, &known, &id)
        }
        Step::Confirm(admitted, status) => {
            confirm_page(&portal, &visitor, admitted.authenticated(), status, &id)
        }
        Step::IssueCode(admitted) => {
            pending.finish(&portal).await?;
            record(&portal, &table, admitted.authenticated(), Outcome::Success, "approved_before");
            let url = admitted.redirect_with_code(&portal).await?;
            // The browser comes from a form of the identity provider or the origin, whose `form-action`
            // applies too.
            Ok(page::redirect_page(&url, &admitted.authenticated().authorization.client.name))
        }
    }
}

fn approve_page(portal: &Portal, authorization: &Authorization, id: &str) -> Result<Response, PortalError> {
    let token = portal.form_token(APPROVE_FORM, id, "")?;
    let asking = ConsentDetails::of(authorization);
    Ok(page::render(StatusCode::OK, &ConsentPage { asking, id, token, person: None, origin: None }))
}

fn confirm_page(
    portal: &Portal,
    visitor: &Visitor,
    known: &Authenticated,
    status: ConnectionStatus,
    id: &str,
) -> Result<Response, PortalError> {
    let name = known.authorization.route.origin.display_name.as_str();
    let page = ConsentPage {
        asking: ConsentDetails::of(&known.authorization),
        id,
        token: portal.form_token(CONFIRM_FORM, id, &visitor.binding())?,
        person: Some(&known.principal),
        origin: (status != ConnectionStatus::NotNeeded).then_some(OriginLine { name, status }),
    };
    Ok(page::render(StatusCode::OK, &page))
}

fn no_access_page(
    portal: &Portal,
    visitor: &Visitor,
    known: &Authenticated,
    id: &str,
) -> Result<Response, PortalError> {
    let token = portal.form_token(CONFIRM_FORM, id, &visitor.binding())?;
    let asking = ConsentDetails::of(&known.authorization);
    Ok(page::render(StatusCode::OK, &NoAccessPage { asking, id, token, person: &known.principal }))
}

/// The fields of the forms of both pages.
#[derive(Deserialize)]
pub(crate) struct Decision {
    token: Option<String>,
    decision: Option<String>,
}

/// `POST /consent/{id}`
pub(crate) async fn post(
    Path(id): Path<String>,
    FormRequest(request): FormRequest,
    Form(form): Form<Decision>,
) -> Result<Response, PortalError> {
    let PortalRequest { portal, table, visitor } = request;
    let token = form.token.as_deref();
    let confirmed = portal.is_valid_form_token(CONFIRM_FORM, &id, &visitor.binding(), token);
    if !confirmed {
        portal.check_form_token(APPROVE_FORM, &id, "", token)?;
    }
    let pending = PendingAuthorization::find(&portal, &visitor, &id).await?;
    let authorization = Authorization::of(&portal, &table, pending.asked.clone()).await?;
    let step = authorization.next(&portal, &visitor, pending.browser.is_some()).await?;
    match (form.decision.as_deref(), step) {
        (Some("deny"), step) => deny(&portal, &table, &pending, &step).await,
        (Some("approve"), Step::Approve(authorization) | Step::SignIn(authorization)) => {
            approve(&portal, &table.gateway, &visitor, &pending, &authorization, &id).await
        }
        (Some("approve"), Step::Confirm(admitted, _) | Step::IssueCode(admitted)) if confirmed => {
            pending.finish(&portal).await?;
            if admitted.client_is_proven() {
                portal.store.consent(&admitted.consent(), portal.clock.now().0).await?;
            }
            record(&portal, &table, admitted.authenticated(), Outcome::Success, "approved");
            let url = admitted.redirect_with_code(&portal).await?;
            Ok(page::redirect_page(&url, &admitted.authenticated().authorization.client.name))
        }
        (Some("switch"), Step::Confirm(admitted, _) | Step::IssueCode(admitted)) if confirmed => {
            switch_account(
                &portal,
                &table.gateway,
                &visitor,
                pending,
                &admitted.authenticated().authorization,
                &id,
            )
            .await
        }
        (Some("switch"), Step::NoAccess(known)) if confirmed => {
            switch_account(&portal, &table.gateway, &visitor, pending, &known.authorization, &id).await
        }
        // A user has signed in since the page was rendered, or the decision is unknown: show the page again.
        _ => Ok(page::see_other(&consent_url(&table.gateway, &id))),
    }
}

/// URL of the consent page.
pub(super) fn consent_url(gateway: &Gateway, id: &str) -> String {
    format!("{}/consent/{id}", gateway.public_url)
}

/// Binds the request to the browser, sets the browser cookie, and starts the sign-in.
async fn approve(
    portal: &Portal,
    gateway: &Gateway,
    visitor: &Visitor,
    pending: &PendingAuthorization,
    authorization: &Authorization,
    id: &str,
) -> Result<Response, PortalError> {
    start::check_limit(portal)?;
    let browser = visitor.browser_or_new(portal, gateway)?;
    if !portal.store.bind_authorization(&pending.id, &browser.id).await? {
        return Err(PortalError::WrongBrowser);
    }
    let begin = SignInStart {
        provider: &authorization.route.identity_provider,
        browser: &browser.id,
        return_to: &format!("/consent/{id}"),
        another_account: pending.asked.signed_in_after.is_some(),
    };
    let url = start::begin(portal, gateway, &begin).await?;
    let response = page::redirect_page(&url, &authorization.route.identity_provider.name);
    Ok(page::with_cookies(response, browser.cookie))
}

/// Denies the request and reports it to the client. Withdraws an earlier consent of a signed-in user.
async fn deny(
    portal: &Portal,
    table: &RouteTable,
    pending: &PendingAuthorization,
    step: &Step,
) -> Result<Response, PortalError> {
    pending.finish(portal).await?;
    let (authorization, error) = match step {
        Step::Approve(authorization) | Step::SignIn(authorization) => {
            let mut event =
                authorization_event(portal, table, authorization, EventKind::Consent, Outcome::Denied);
            event.reason = Some("user_denied");
            portal.events.record(event);
            (authorization, OAuthError::DENIED)
        }
        Step::NoAccess(known) => {
            record(portal, table, known, Outcome::Denied, "no_team");
            (&known.authorization, OAuthError::NO_ACCESS)
        }
        Step::Confirm(admitted, _) | Step::IssueCode(admitted) => {
            portal.store.withdraw_consent(&admitted.consent()).await?;
            record(portal, table, admitted.authenticated(), Outcome::Denied, "user_denied");
            (&admitted.authenticated().authorization, OAuthError::DENIED)
        }
    };
    let url = authorization.asked.answer.with_error(error);
    Ok(page::redirect_page(&url, &authorization.client.name))
}

/// Signs the user out of the route's identity provider here and requires a new sign-in there.
async fn switch_account(
    portal: &Portal,
    gateway: &Gateway,
    visitor: &Visitor,
    mut pending: PendingAuthorization,
    authorization: &Authorization,
    id: &str,
) -> Result<Response, PortalError> {
    pending.require_new_sign_in(portal).await?;
    let provider = &authorization.route.identity_provider.name;
    if let Some(session) = visitor.session() {
        portal.store.end_browser_session(session, Some(provider)).await?;
    }
    if pending.browser.is_some() {
        return approve(portal, gateway, visitor, &pending, authorization, id).await;
    }
    let cookies = visitor
        .people()
        .all(|person| *person.identity_provider == **provider)
        .then(|| CookieKind::Session.clear(gateway))
        .flatten();
    Ok(page::with_cookies(page::see_other(&consent_url(gateway, id)), cookies))
}
