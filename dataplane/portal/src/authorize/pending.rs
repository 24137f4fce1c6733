//! Pending authorization requests, and the state machine that decides the next step of one.

use std::sync::Arc;

use portcullis_authorization_server::{ApprovedRequest, Client, Issuer};
use portcullis_keyring::digest;
use portcullis_origin_auth::ConnectionStatus;
use portcullis_policy::{CredentialSubject, Principal, Route, RouteTable};
use portcullis_store::{Consent, PendingAuthorizationRow};

use crate::Portal;
use crate::authorize::redirect::Destination;
use crate::authorize::request::AuthorizationParams;
use crate::error::PortalError;
use crate::visitor::{SignedInUser, Visitor};

/// Lifetime of a pending authorization request, in seconds.
const LIFETIME: u64 = 15 * 60;

/// An authorization request with the current client and route.
pub(crate) struct Authorization {
    pub(crate) asked: AuthorizationParams,
    pub(crate) client: Arc<Client>,
    pub(crate) route: Arc<Route>,
    issuer: Issuer,
    /// The redirect URI under which consents are stored.
    approved_as: String,
}

/// A request whose user has signed in at the route's identity provider. Built only by
/// [`Authorization::next`].
pub(crate) struct Authenticated {
    pub(crate) authorization: Authorization,
    pub(crate) principal: Principal,
    /// Digest of the session at the identity provider, if known.
    provider_session: Option<String>,
}

/// A request whose user may use the route. Built only by `Authenticated::admitted`; required for issuing a
/// code.
pub(crate) struct Admitted(Authenticated);

/// The next step of an authorization request.
pub(crate) enum Step {
    /// The browser must approve the client first.
    Approve(Authorization),
    /// The browser has approved. The user must sign in.
    SignIn(Authorization),
    /// The user may not use the route.
    NoAccess(Authenticated),
    /// The user must confirm the request and the account.
    Confirm(Admitted, ConnectionStatus),
    /// The user has consented. A code can be issued.
    IssueCode(Admitted),
}

/// A stored authorization request.
pub(crate) struct PendingAuthorization {
    /// Digest of the id in the page's URL.
    pub(crate) id: String,
    /// Digest of the browser that has approved the request.
    pub(crate) browser: Option<String>,
    pub(crate) asked: AuthorizationParams,
}

impl PendingAuthorization {
    /// Stores a request and returns the id for the page's URL.
    pub(crate) async fn create(portal: &Portal, asked: &AuthorizationParams) -> Result<String, PortalError> {
        portal.prune_expired().await;
        let id = portal.random.token()?;
        let digest = digest(&id);
        let row = PendingAuthorizationRow {
            request: portal.seal(&["authorization", &digest], asked)?,
            browser: None,
            expires_at: portal.clock.now().after_seconds(LIFETIME).0,
            id: digest,
        };
        portal.store.put_pending_authorization(&row).await?;
        Ok(id)
    }

    /// Finds a request by the id of its page.
    ///
    /// # Errors
    /// When the request has expired or is bound to another browser.
    pub(crate) async fn find(portal: &Portal, visitor: &Visitor, id: &str) -> Result<Self, PortalError> {
        let id = digest(id);
        let row = portal
            .store
            .pending_authorization(&id, portal.clock.now().0)
            .await?
            .ok_or(PortalError::RequestExpired)?;
        if row.browser.is_some() && row.browser.as_deref() != visitor.browser() {
            return Err(PortalError::WrongBrowser);
        }
        let asked = portal.open(&["authorization", &id], &row.request).ok_or(PortalError::RequestExpired)?;
        Ok(Self { id, browser: row.browser, asked })
    }

    /// Requires a sign-in after the current time.
    pub(crate) async fn require_new_sign_in(&mut self, portal: &Portal) -> Result<(), PortalError> {
        self.asked.signed_in_after = Some(portal.clock.now().0);
        let request = portal.seal(&["authorization", &self.id], &self.asked)?;
        Ok(portal.store.update_pending_authorization(&self.id, &request).await?)
    }

    /// Ends the request. Succeeds only once, so the client gets one response.
    pub(crate) async fn finish(&self, portal: &Portal) -> Result<(), PortalError> {
        if portal.store.finish_authorization(&self.id).await? {
            Ok(())
        } else {
            Err(PortalError::RequestExpired)
        }
    }
}

impl Authorization {
    /// Looks up the client and the route of a request, which may have changed since it was stored.
    pub(crate) async fn of(
        portal: &Portal,
        table: &RouteTable,
        asked: AuthorizationParams,
    ) -> Result<Self, PortalError> {
        let route = table.route_by_uid(&asked.route_uid).ok_or(PortalError::UnknownRoute)?;
        if route.suspended {
            return Err(PortalError::Suspended(route.display_name.clone()));
        }
        let client = portal.clients.client(&asked.client_id).await?;
        if !client.allows_redirect(&asked.answer.redirect_uri) {
            return Err(PortalError::Client("The app's redirect URI is no longer registered.".to_owned()));
        }
        let issuer = if asked.at_root { Issuer::Root } else { Issuer::Route(Arc::clone(route)) };
        let approved_as = asked.answer.approved_as();
        Ok(Self { asked, client, route: Arc::clone(route), issuer, approved_as })
    }

    /// Decides the next step for the current users of the browser.
    pub(crate) async fn next(
        self,
        portal: &Portal,
        visitor: &Visitor,
        browser_approved: bool,
    ) -> Result<Step, PortalError> {
        let since = self.asked.signed_in_after.unwrap_or(i64::MIN);
        let signed_in = visitor.signed_in(&self.route.identity_provider.name).filter(|it| it.at >= since);
        let Some(signed_in) = signed_in else {
            return Ok(if browser_approved { Step::SignIn(self) } else { Step::Approve(self) });
        };
        let SignedInUser { principal, provider_session, .. } = signed_in.clone();
        let known = Authenticated { authorization: self, principal, provider_session };
        let admitted = match known.admitted() {
            Ok(admitted) => admitted,
            Err(known) => return Ok(Step::NoAccess(known)),
        };
        let status = admitted.connection(portal).await?;
        let nothing_to_connect = matches!(status, ConnectionStatus::NotNeeded | ConnectionStatus::Connected);
        let asked = &admitted.authenticated().authorization.asked;
        let ask = asked.ask_again
            || !nothing_to_connect
            || !admitted.client_is_proven()
            || !portal.store.has_consent(&admitted.consent()).await?;
        Ok(if ask { Step::Confirm(admitted, status) } else { Step::IssueCode(admitted) })
    }
}

impl Authenticated {
    /// Checks whether the user may use the route.
    #[allow(clippy::result_large_err, reason = "both variants are used by the caller")]
    fn admitted(self) -> Result<Admitted, Self> {
        match self.authorization.route.authorize(&self.principal) {
            Some(_) => Ok(Admitted(self)),
            None => Err(self),
        }
    }
}

impl Admitted {
    pub(crate) const fn authenticated(&self) -> &Authenticated {
        &self.0
    }

    /// Whether only the approved client can use the response: it authenticates, or its redirect proves who
    /// receives it. Any program on the user's machine can pose as another client, so its approval is never
    /// remembered.
    pub(crate) fn client_is_proven(&self) -> bool {
        let Authorization { asked, client, .. } = &self.0.authorization;
        client.authenticates || Destination::of(&asked.answer.redirect_uri).proves_receiver()
    }

    /// The consent to store for this request.
    pub(crate) fn consent(&self) -> Consent<'_> {
        let Authenticated { authorization, principal, .. } = &self.0;
        Consent {
            principal: principal.id.as_str(),
            client_id: &authorization.client.id,
            redirect_uri: &authorization.approved_as,
            route_uid: &authorization.route.uid,
            scope: &authorization.asked.scope,
        }
    }

    /// Status of the user's connection to the route's origin.
    async fn connection(&self, portal: &Portal) -> Result<ConnectionStatus, PortalError> {
        let origin = &self.0.authorization.route.origin;
        if origin.credential_subject() != CredentialSubject::Person {
            return Ok(ConnectionStatus::NotNeeded);
        }
        Ok(portal.broker.accounts.status(&self.0.principal.id, origin).await?)
    }

    /// Issues a code and returns the URL to redirect the browser to.
    pub(crate) async fn redirect_with_code(&self, portal: &Portal) -> Result<String, PortalError> {
        let Authenticated { authorization, principal, provider_session } = &self.0;
        let approved = ApprovedRequest {
            client: &authorization.client,
            principal: &principal.id,
            provider_session: provider_session.as_deref(),
            issuer: &authorization.issuer,
            route: &authorization.route,
            redirect_uri: &authorization.asked.answer.redirect_uri,
            code_challenge: &authorization.asked.code_challenge,
            scope: &authorization.asked.scope,
        };
        let code = portal.codes.issue(approved).await.map_err(PortalError::internal)?;
        Ok(authorization.asked.answer.with_code(&code))
    }
}
