use std::sync::Arc;

use portcullis_identity::{Approved, Client, Issuer};
use portcullis_policy::{Holder, Principal, Route, RouteTable};
use portcullis_store::{Consent, PendingAuthorizationRow};
use portcullis_vault::ConnectionStatus;

use crate::Portal;
use crate::authorize::request::Asked;
use crate::digest::digest;
use crate::failure::Failure;
use crate::visitor::{SignedIn, Visitor};

/// How long a client's request waits for its user, in seconds.
const LIFETIME: u64 = 15 * 60;

/// A client's request as of now: what it asked for, with the client and the route looked up again.
pub(crate) struct Authorization {
    pub(crate) asked: Asked,
    pub(crate) client: Arc<Client>,
    pub(crate) route: Arc<Route>,
    issuer: Issuer,
    /// The redirect URI, as approvals name it.
    approved_as: String,
}

/// A request whose user has signed in at the route's identity provider, as [`Authorization::next`] has seen.
pub(crate) struct Known {
    pub(crate) authorization: Authorization,
    pub(crate) principal: Principal,
    /// Digest of the session at their identity provider, where that is known.
    provider_session: Option<String>,
}

/// A request whose user may use the route. Only `Known::admitted` makes one, and a code is given for nothing less.
pub(crate) struct Admitted(Known);

/// What comes next.
pub(crate) enum Step {
    /// The browser has to approve the client before anything else happens.
    Approve(Authorization),
    /// It has approved: the person signs in.
    SignIn(Authorization),
    /// The person may not use the route.
    NoAccess(Known),
    /// The person sees what is asked, as whom, and confirms.
    Confirm(Admitted, ConnectionStatus),
    /// Nothing is left to ask.
    Through(Admitted),
}

/// A request in the store.
pub(crate) struct Pending {
    /// Digest of the id in the page's address.
    pub(crate) id: String,
    /// The browser that has approved it.
    pub(crate) browser: Option<String>,
    pub(crate) asked: Asked,
}

impl Pending {
    /// Keeps a request and returns the id for the page's address.
    pub(crate) async fn keep(portal: &Portal, asked: &Asked) -> Result<String, Failure> {
        portal.tidy().await;
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
    pub(crate) async fn find(portal: &Portal, visitor: &Visitor, id: &str) -> Result<Self, Failure> {
        let id = digest(id);
        let row = portal
            .store
            .pending_authorization(&id, portal.clock.now().0)
            .await?
            .ok_or(Failure::RequestOver)?;
        if row.browser.is_some() && row.browser.as_deref() != visitor.browser() {
            return Err(Failure::OtherBrowser);
        }
        let asked = portal.open(&["authorization", &id], &row.request).ok_or(Failure::RequestOver)?;
        Ok(Self { id, browser: row.browser, asked })
    }

    /// From now on only another sign-in counts.
    pub(crate) async fn ask_for_another_sign_in(&mut self, portal: &Portal) -> Result<(), Failure> {
        self.asked.signed_in_after = Some(portal.clock.now().0);
        let request = portal.seal(&["authorization", &self.id], &self.asked)?;
        Ok(portal.store.change_pending_authorization(&self.id, &request).await?)
    }

    /// Ends the request. Whoever is not first does not answer the client.
    pub(crate) async fn finish(&self, portal: &Portal) -> Result<(), Failure> {
        if portal.store.finish_authorization(&self.id).await? { Ok(()) } else { Err(Failure::RequestOver) }
    }
}

impl Authorization {
    /// Looks up what a request names. Things may have changed since it came.
    pub(crate) async fn of(portal: &Portal, table: &RouteTable, asked: Asked) -> Result<Self, Failure> {
        let route = table.route_by_uid(&asked.route_uid).ok_or(Failure::NoSuchRoute)?;
        if route.suspended {
            return Err(Failure::Suspended(route.display_name.clone()));
        }
        let client = portal.identity.client(&asked.client_id).await?;
        if !client.allows_redirect(&asked.answer.redirect_uri) {
            return Err(Failure::Client("The app has changed where it wants its answer.".to_owned()));
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
    ) -> Result<Step, Failure> {
        let since = self.asked.signed_in_after.unwrap_or(i64::MIN);
        let signed_in = visitor.signed_in(&self.route.identity_provider.name).filter(|it| it.at >= since);
        let Some(signed_in) = signed_in else {
            return Ok(if browser_approved { Step::SignIn(self) } else { Step::Approve(self) });
        };
        let SignedIn { principal, provider_session, .. } = signed_in.clone();
        let known = Known { authorization: self, principal, provider_session };
        let admitted = match known.admitted() {
            Ok(admitted) => admitted,
            Err(known) => return Ok(Step::NoAccess(known)),
        };
        let status = admitted.connection(portal).await?;
        let nothing_to_connect = matches!(status, ConnectionStatus::NotNeeded | ConnectionStatus::Connected);
        let asked = &admitted.known().authorization.asked;
        let ask =
            asked.ask_again || !nothing_to_connect || !portal.store.consented(&admitted.consent()).await?;
        Ok(if ask { Step::Confirm(admitted, status) } else { Step::Through(admitted) })
    }
}

impl Known {
    /// Whether the person may use the route.
    #[allow(clippy::result_large_err, reason = "both are the way on")]
    fn admitted(self) -> Result<Admitted, Self> {
        match self.authorization.route.admit(&self.principal) {
            Some(_) => Ok(Admitted(self)),
            None => Err(self),
        }
    }
}

impl Admitted {
    pub(crate) const fn known(&self) -> &Known {
        &self.0
    }

    /// What an approval of this is stored as.
    pub(crate) fn consent(&self) -> Consent<'_> {
        let Known { authorization, principal, .. } = &self.0;
        Consent {
            principal: principal.id.as_str(),
            client_id: &authorization.client.id,
            redirect_uri: &authorization.approved_as,
            route_uid: &authorization.route.uid,
            scope: &authorization.asked.scope,
        }
    }

    /// How the person stands with the route's origin.
    async fn connection(&self, portal: &Portal) -> Result<ConnectionStatus, Failure> {
        let origin = &self.0.authorization.route.origin;
        if origin.holder() != Holder::Person {
            return Ok(ConnectionStatus::NotNeeded);
        }
        Ok(portal.vault.status(&self.0.principal.id, origin).await?)
    }

    /// Gives the client a code: the address to send the browser to.
    pub(crate) async fn redirect_with_code(&self, portal: &Portal) -> Result<String, Failure> {
        let Known { authorization, principal, provider_session } = &self.0;
        let approved = Approved {
            client: &authorization.client,
            principal: &principal.id,
            provider_session: provider_session.as_deref(),
            issuer: &authorization.issuer,
            route: &authorization.route,
            redirect_uri: &authorization.asked.answer.redirect_uri,
            code_challenge: &authorization.asked.code_challenge,
            scope: &authorization.asked.scope,
        };
        let code = portal.identity.grant_code(approved).await.map_err(Failure::internal)?;
        Ok(authorization.asked.answer.with_code(&code))
    }
}
