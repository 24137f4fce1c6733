use std::sync::Arc;

use portcullis_authorization_server::{ApprovedRequest, Client, Issuer};
use portcullis_origin_auth::ConnectionStatus;
use portcullis_policy::{CredentialSubject, Principal, Route, RouteTable};
use portcullis_store::{Consent, PendingAuthorizationRow};

use crate::Portal;
use crate::authorize::request::AuthorizationParams;
use crate::digest::digest;
use crate::error::PortalError;
use crate::visitor::{SignedInUser, Visitor};

/// How long a client's request waits for its user, in seconds.
const LIFETIME: u64 = 15 * 60;

/// A client's request as of now: what it asked for, with the client and the route looked up again.
pub(crate) struct Authorization {
    pub(crate) asked: AuthorizationParams,
    pub(crate) client: Arc<Client>,
    pub(crate) route: Arc<Route>,
    issuer: Issuer,
    /// The redirect URI, as approvals name it.
    approved_as: String,
}

/// A request whose user has signed in at the route's identity provider, as [`Authorization::next`] has seen.
pub(crate) struct Authenticated {
    pub(crate) authorization: Authorization,
    pub(crate) principal: Principal,
    /// Digest of the session at their identity provider, where that is known.
    provider_session: Option<String>,
}

/// A request whose user may use the route. Only `Authenticated::admitted` makes one, and a code is given for nothing less.
pub(crate) struct Admitted(Authenticated);

/// What comes next.
pub(crate) enum Step {
    /// The browser has to approve the client before anything else happens.
    Approve(Authorization),
    /// It has approved: the person signs in.
    SignIn(Authorization),
    /// The person may not use the route.
    NoAccess(Authenticated),
    /// The person sees what is asked, as whom, and confirms.
    Confirm(Admitted, ConnectionStatus),
    /// Nothing is left to ask.
    IssueCode(Admitted),
}

/// A request in the store.
pub(crate) struct PendingAuthorization {
    /// Digest of the id in the page's address.
    pub(crate) id: String,
    /// The browser that has approved it.
    pub(crate) browser: Option<String>,
    pub(crate) asked: AuthorizationParams,
}

impl PendingAuthorization {
    /// Keeps a request and returns the id for the page's address.
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

    /// The request of a page, if this browser may see it.
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

    /// From now on only another sign-in counts.
    pub(crate) async fn require_new_sign_in(&mut self, portal: &Portal) -> Result<(), PortalError> {
        self.asked.signed_in_after = Some(portal.clock.now().0);
        let request = portal.seal(&["authorization", &self.id], &self.asked)?;
        Ok(portal.store.update_pending_authorization(&self.id, &request).await?)
    }

    /// Ends the request. Whoever is not first does not answer the client.
    pub(crate) async fn finish(&self, portal: &Portal) -> Result<(), PortalError> {
        if portal.store.finish_authorization(&self.id).await? {
            Ok(())
        } else {
            Err(PortalError::RequestExpired)
        }
    }
}

impl Authorization {
    /// Looks up what a request names. Things may have changed since it came.
    pub(crate) async fn of(
        portal: &Portal,
        table: &RouteTable,
        asked: AuthorizationParams,
    ) -> Result<Self, PortalError> {
        let route = table.route_by_uid(&asked.route_uid).ok_or(PortalError::UnknownRoute)?;
        if route.suspended {
            return Err(PortalError::Suspended(route.display_name.clone()));
        }
        let client = portal.identity.client(&asked.client_id).await?;
        if !client.allows_redirect(&asked.answer.redirect_uri) {
            return Err(PortalError::Client("The app has changed where it wants its answer.".to_owned()));
        }
        let issuer = if asked.at_root { Issuer::Root } else { Issuer::Route(Arc::clone(route)) };
        let approved_as = asked.answer.approved_as();
        Ok(Self { asked, client, route: Arc::clone(route), issuer, approved_as })
    }

    /// What comes next for whoever sits at the browser.
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
        let ask =
            asked.ask_again || !nothing_to_connect || !portal.store.has_consent(&admitted.consent()).await?;
        Ok(if ask { Step::Confirm(admitted, status) } else { Step::IssueCode(admitted) })
    }
}

impl Authenticated {
    /// Whether the person may use the route.
    #[allow(clippy::result_large_err, reason = "both are the way on")]
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

    /// What an approval of this is stored as.
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

    /// How the person stands with the route's origin.
    async fn connection(&self, portal: &Portal) -> Result<ConnectionStatus, PortalError> {
        let origin = &self.0.authorization.route.origin;
        if origin.credential_subject() != CredentialSubject::Person {
            return Ok(ConnectionStatus::NotNeeded);
        }
        Ok(portal.vault.status(&self.0.principal.id, origin).await?)
    }

    /// Gives the client a code: the address to send the browser to.
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
        let code = portal.identity.issue_code(approved).await.map_err(PortalError::internal)?;
        Ok(authorization.asked.answer.with_code(&code))
    }
}
