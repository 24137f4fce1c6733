use http::{HeaderMap, HeaderValue};
use portcullis_policy::{Gateway, Principal};

use crate::Portal;
use crate::cookies::CookieKind;
use crate::digest::digest;
use crate::error::PortalError;

/// Whoever sits at the browser, as far as its cookies tell.
pub(crate) struct Visitor {
    /// Digest of the browser's cookie.
    browser: Option<String>,
    /// Digest of the session cookie, where it means something.
    session: Option<String>,
    sign_ins: Vec<SignedInUser>,
}

/// One person at the browser. Somebody may have signed in through several identity providers at once.
#[derive(Clone)]
pub(crate) struct SignedInUser {
    /// Who.
    pub(crate) principal: Principal,
    /// When, in Unix milliseconds.
    pub(crate) at: i64,
    /// Digest of the session at their identity provider, where that is known.
    pub(crate) provider_session: Option<String>,
}

/// The browser that a flow is bound to, known from before or named just now.
pub(crate) struct Browser {
    /// Digest of its cookie.
    pub(crate) id: String,
    /// The cookie to set, where it had none.
    pub(crate) cookie: Option<HeaderValue>,
}

impl Visitor {
    /// Reads the cookies.
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
            // An identity provider that is gone from the settings has no people any more.
            let known =
                gateway.identity_providers.iter().any(|provider| *provider.name == *row.identity_provider);
            if let (true, Some(principal)) = (known, portal.identity.principal(&id).await?) {
                let provider_session = row.provider_session;
                visitor.sign_ins.push(SignedInUser { principal, at: row.signed_in_at, provider_session });
            }
        }
        visitor.session = Some(session).filter(|_| !visitor.sign_ins.is_empty());
        Ok(visitor)
    }

    /// Who has signed in through this identity provider.
    pub(crate) fn signed_in(&self, identity_provider: &str) -> Option<&SignedInUser> {
        self.sign_ins.iter().find(|each| *each.principal.identity_provider == *identity_provider)
    }

    /// Everybody who has signed in.
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

    /// What forms are bound to: this browser, and this session while it lasts.
    pub(crate) fn binding(&self) -> String {
        format!("{}.{}", self.browser().unwrap_or_default(), self.session().unwrap_or_default())
    }

    /// The browser, named now where it had no name.
    pub(crate) fn browser_or_new(&self, portal: &Portal, gateway: &Gateway) -> Result<Browser, PortalError> {
        if let Some(id) = &self.browser {
            return Ok(Browser { id: id.clone(), cookie: None });
        }
        let token = portal.random.token()?;
        Ok(Browser { id: digest(&token), cookie: CookieKind::Browser.set(gateway, &token) })
    }
}
