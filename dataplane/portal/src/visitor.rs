//! The browser of a request and the users who are signed in with it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use portcullis_keyring::digest;
use portcullis_policy::{Gateway, Principal};

use crate::Portal;
use crate::cookies::CookieKind;
use crate::error::PortalError;

/// A browser and its signed-in users, according to its cookies.
pub(crate) struct Visitor {
    /// Digest of the browser's cookie.
    browser: Option<String>,
    /// Digest of the session cookie, if it belongs to a session.
    session: Option<String>,
    sign_ins: Vec<SignedInUser>,
}

/// One signed-in user. A browser can have one per identity provider.
#[derive(Clone)]
pub(crate) struct SignedInUser {
    pub(crate) principal: Principal,
    /// Time of the sign-in, in Unix milliseconds.
    pub(crate) at: i64,
    /// Digest of the session at the identity provider, if known.
    pub(crate) provider_session: Option<String>,
}

/// The browser to which a flow is bound.
pub(crate) struct Browser {
    /// Digest of the browser cookie.
    pub(crate) id: String,
    /// The cookie to set, if the browser had none.
    pub(crate) cookie: Option<HeaderValue>,
}

impl Visitor {
    /// Reads the cookies and loads the session.
    pub(crate) async fn of(
        portal: &Portal,
        gateway: &Gateway,
        headers: &HeaderMap,
    ) -> Result<Self, PortalError> {
        let browser = CookieKind::Browser.read(gateway, headers).map(|token| digest(&token));
        let mut visitor = Self { browser, session: None, sign_ins: Vec::new() };
        let Some(token) = CookieKind::Session.read(gateway, headers) else { return Ok(visitor) };
        let session = digest(&token);
        for row in portal.store.browser_session(&session, portal.clock.now().0).await? {
            let id = portcullis_policy::PrincipalId::from_stored(&row.principal);
            // Users of an identity provider that was removed from the settings are no longer signed in.
            let known =
                gateway.identity_providers.iter().any(|provider| *provider.name == *row.identity_provider);
            if let (true, Some(principal)) = (known, portal.principals.load(&id).await?) {
                let principal = Arc::unwrap_or_clone(principal);
                let provider_session = row.provider_session;
                visitor.sign_ins.push(SignedInUser { principal, at: row.signed_in_at, provider_session });
            }
        }
        visitor.session = Some(session).filter(|_| !visitor.sign_ins.is_empty());
        Ok(visitor)
    }

    /// The user who is signed in through this identity provider.
    pub(crate) fn signed_in(&self, identity_provider: &str) -> Option<&SignedInUser> {
        self.sign_ins.iter().find(|each| *each.principal.identity_provider == *identity_provider)
    }

    /// All signed-in users.
    pub(crate) fn people(&self) -> impl Iterator<Item = &Principal> {
        self.sign_ins.iter().map(|each| &each.principal)
    }

    /// Digest of the session cookie.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Digest of the browser's cookie.
    pub(crate) fn browser(&self) -> Option<&str> {
        self.browser.as_deref()
    }

    /// The value that form tokens are bound to: browser and session.
    pub(crate) fn binding(&self) -> String {
        format!("{}.{}", self.browser().unwrap_or_default(), self.session().unwrap_or_default())
    }

    /// The browser, with a new cookie if it has none.
    pub(crate) fn browser_or_new(&self, portal: &Portal, gateway: &Gateway) -> Result<Browser, PortalError> {
        if let Some(id) = &self.browser {
            return Ok(Browser { id: id.clone(), cookie: None });
        }
        let token = portal.random.token()?;
        Ok(Browser { id: digest(&token), cookie: CookieKind::Browser.set(gateway, &token) })
    }
}
