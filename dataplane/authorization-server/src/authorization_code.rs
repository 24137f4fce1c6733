//! Authorization codes: issued for approved requests.

use portcullis_clock::{Clock, Random};
use portcullis_keyring::digest;
use portcullis_policy::{PrincipalId, Route};
use portcullis_rate_limit::RateLimit;
use portcullis_store::{CodeRow, Store};

use crate::issue_token::SCOPE;
use crate::issuer::root_issuer;
use crate::{Client, InternalError, Issuer};

/// Lifetime of a code.
const CODE_LIFETIME_SECONDS: u64 = 60;
/// New authorization requests per IP address: burst, and rate per second. They need no authentication, and
/// each occupies a row in the store until the user decides or the request expires.
const PENDING_REQUEST_LIMIT: (u32, u32) = (200, 2);
/// The same for all addresses together.
const TOTAL_PENDING_REQUEST_LIMIT: (u32, u32) = (1_000, 10);

/// An authorization request that the authorization endpoint checked and a user approved.
pub struct ApprovedRequest<'a> {
    /// The approved client.
    pub client: &'a Client,
    /// The user that approved it.
    pub principal: &'a PrincipalId,
    /// Digest of the user's session at the identity provider, if known.
    pub provider_session: Option<&'a str>,
    /// Issuer of the request. The code can be redeemed only there.
    pub issuer: &'a Issuer,
    /// Route that the client gets access to.
    pub route: &'a Route,
    /// `redirect_uri` as the client sent it.
    pub redirect_uri: &'a str,
    /// PKCE challenge, method S256 (RFC 7636).
    pub code_challenge: &'a str,
    /// Requested scope. The granted scope is always `mcp`, the only one.
    pub scope: &'a str,
}

/// Issues authorization codes, and limits the requests for them.
pub struct AuthorizationCodes {
    store: Store,
    clock: Clock,
    random: Random,
    pending_limit: RateLimit,
    sign_in_limit: RateLimit,
}

impl AuthorizationCodes {
    pub(crate) fn new(store: Store, clock: Clock, random: Random) -> Self {
        let pending_limit = RateLimit::new(PENDING_REQUEST_LIMIT, TOTAL_PENDING_REQUEST_LIMIT);
        let sign_in_limit = RateLimit::new(PENDING_REQUEST_LIMIT, TOTAL_PENDING_REQUEST_LIMIT);
        Self { store, clock, random, pending_limit, sign_in_limit }
    }

    /// Whether the rate limit allows another pending authorization request. Counts the request.
    #[must_use]
    pub fn allow_pending_request(&self) -> bool {
        self.pending_limit.take(self.clock.now())
    }

    /// Whether the rate limit allows another sign-in to be started. Counts it. Like a pending request, it is a
    /// row that anybody can cause.
    #[must_use]
    pub fn allow_sign_in(&self) -> bool {
        self.sign_in_limit.take(self.clock.now())
    }

    /// Issues an authorization code. It can be redeemed once, within 60 s, at the same issuer, with the PKCE
    /// verifier.
    ///
    /// # Errors
    /// When the store or the random source fails.
    pub async fn issue(&self, approved: ApprovedRequest<'_>) -> Result<String, InternalError> {
        let code = format!("pc_code_{}", self.random.token()?);
        let issuer = match approved.issuer {
            Issuer::Route(route) => route.url.to_string(),
            Issuer::Root => root_issuer(approved.route).to_owned(),
        };
        let row = CodeRow {
            digest: digest(&code),
            principal: approved.principal.as_str().to_owned(),
            client_id: approved.client.id.clone(),
            client_name: approved.client.name.clone(),
            issuer,
            route_uid: approved.route.uid.to_string(),
            resource: approved.route.url.to_string(),
            redirect_uri: approved.redirect_uri.to_owned(),
            code_challenge: approved.code_challenge.to_owned(),
            scope: SCOPE.to_owned(),
            expires_at: self.clock.now().after_seconds(CODE_LIFETIME_SECONDS).0,
            consumed_at: None,
            grant_id: None,
            provider_session: approved.provider_session.map(ToOwned::to_owned),
        };
        self.store.add_code(&row).await?;
        Ok(code)
    }
}
