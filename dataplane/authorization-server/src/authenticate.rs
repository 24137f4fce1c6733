//! Authenticates access tokens. Every MCP request passes through here.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_keyring::Keyring;
use portcullis_policy::{Principal, PrincipalId, Route, RouteTable, RouteTableHandle};
use sha2::{Digest as _, Sha256};

use crate::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use crate::client::is_registered;
use crate::issue_token::SCOPE;
use crate::issuer::root_issuer;
use crate::revocation_feed::RevocationFeed;
use crate::stream_renewal::StreamRenewal;
use crate::{AuthenticateError, Caller, Principals};

/// Maximum number of cached verified tokens. A token that was evicted costs another signature check.
const MAX_CACHED_TOKENS: u64 = 50_000;
/// A cached token is evicted if it is not used for this time.
const TOKEN_IDLE_TIMEOUT: Duration = Duration::from_secs(1800);
/// A feed of this age is fresh regardless of `storeOutageGrace`.
const FRESH_FEED_AGE: Duration = Duration::from_secs(5);
/// Maximum length of an access token. The gateway issues no longer ones.
const MAX_TOKEN_LEN: usize = 8 * 1024;

const NOT_ISSUED_HERE: &str = "the access token was not issued by this gateway";
const EXPIRED: &str = "the access token has expired";
const WRONG_AUDIENCE: &str = "the access token was issued for another resource";
const REVOKED: &str = "the access token was revoked";
const UNKNOWN_WORKLOAD: &str = "the workload that the access token was issued to is no longer registered";
const UNKNOWN_PRINCIPAL: &str = "the user of the access token does not exist";

/// SHA-256 of a token: its key in the cache.
type TokenHash = [u8; 32];

/// A token with a verified signature. Everything that can change during its lifetime is checked on every
/// call.
struct VerifiedToken {
    issuer: Box<str>,
    audience: Box<str>,
    route_uid: Box<str>,
    caller: Arc<Caller>,
    /// The feed's epoch when the caller's principal was loaded.
    epoch: u64,
    /// Generation of the key rings when the signature was verified. If it changed, the signature is verified
    /// again, because the key may have been removed.
    keyring_generation: u64,
}

/// Verifies access tokens of this gateway.
pub struct AccessTokenVerifier {
    tables: RouteTableHandle,
    keys: Arc<Keyring>,
    clock: Clock,
    feed: Arc<RevocationFeed>,
    principals: Arc<Principals>,
    renewal: Arc<StreamRenewal>,
    verified: Cache<TokenHash, Arc<VerifiedToken>>,
}

impl AccessTokenVerifier {
    pub(crate) fn new(
        tables: RouteTableHandle,
        keys: Arc<Keyring>,
        clock: Clock,
        feed: Arc<RevocationFeed>,
        principals: Arc<Principals>,
        renewal: Arc<StreamRenewal>,
    ) -> Self {
        let verified =
            Cache::builder().max_capacity(MAX_CACHED_TOKENS).time_to_idle(TOKEN_IDLE_TIMEOUT).build();
        Self { tables, keys, clock, feed, principals, renewal, verified }
    }

    /// Verifies an access token for a route of this table: signature (cached), expiry, audience, issuer, the
    /// route's UID, revocation. Returns the caller with the current principal. For a cached token this needs
    /// no access to the store.
    ///
    /// # Errors
    /// `Invalid` when the token is invalid for the route, `InsufficientScope` when it lacks the scope,
    /// `Unavailable` when the revocation feed is stale or the store fails.
    pub async fn authenticate(
        &self,
        token: &str,
        route: &Route,
        table: &RouteTable,
    ) -> Result<Arc<Caller>, AuthenticateError> {
        let now = self.clock.now();
        if !self.is_fresh(now, Some(table)) {
            return Err(AuthenticateError::Unavailable);
        }
        if token.len() > MAX_TOKEN_LEN {
            return Err(AuthenticateError::Invalid(NOT_ISSUED_HERE));
        }
        let hash: TokenHash = Sha256::digest(token).into();
        let keyring_generation = self.keys.generation();
        if let Some(verified) =
            self.verified.get(&hash).filter(|verified| verified.keyring_generation == keyring_generation)
        {
            self.check(&verified, route, table, now)?;
            if verified.epoch == self.feed.epoch() {
                return Ok(Arc::clone(&verified.caller));
            }
            // A principal changed, possibly this one.
            return Box::pin(self.load_caller(hash, &verified)).await;
        }
        let claims: AccessClaims = self
            .keys
            .signing
            .verify(ACCESS_TOKEN_TYPE, token)
            .map_err(|_| AuthenticateError::Invalid(NOT_ISSUED_HERE))?;
        let suffices = claims.scope.split(' ').any(|scope| scope == SCOPE);
        let verified = VerifiedToken::from_claims(claims, keyring_generation);
        self.check(&verified, route, table, now)?;
        if !suffices {
            return Err(AuthenticateError::InsufficientScope);
        }
        Box::pin(self.load_caller(hash, &verified)).await
    }

    /// The current principal of a caller, for streams that stay open after their token has expired. `None` if
    /// the grant has ended or was revoked, the client is no longer registered, or the revocation feed is stale.
    /// Never waits. While the token of a person is expired, the identity provider is asked from time to time
    /// whether the sign-in still stands ([`StreamRenewal`]).
    #[must_use]
    pub fn current_principal(&self, caller: &Caller) -> Option<Arc<Principal>> {
        let now = self.clock.now();
        if now >= caller.grant_expires
            || !self.is_ready()
            || self.feed.is_revoked(&caller.grant_id)
            || self.tables.current().is_some_and(|table| !is_registered(&table, &caller.client_id))
        {
            return None;
        }
        if now >= caller.expires {
            self.renewal.ask_if_due(&caller.principal);
        }
        let id = &caller.principal.id;
        let person = self.feed.principal(id);
        if person.is_none() {
            // Evicted from the cache, or an earlier load failed. Load it in the background, for the next
            // check.
            let (principals, id) = (Arc::clone(&self.principals), id.clone());
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { principals.load(&id).await.map(drop) });
            }
        }
        Some(person.unwrap_or_else(|| Arc::new(caller.principal.clone())))
    }

    /// Whether the revocation feed is fresh enough to accept tokens. Used for readiness.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_fresh(self.clock.now(), self.tables.current().as_deref())
    }

    fn is_fresh(&self, now: UnixMillis, table: Option<&RouteTable>) -> bool {
        let Some(read_at) = self.feed.last_read_at().filter(|_| !self.feed.clock_differs()) else {
            return false;
        };
        let age = now.since(read_at);
        age <= FRESH_FEED_AGE
            || table.is_some_and(|table| age <= Duration::from_secs(table.gateway.store_outage_grace_seconds))
    }

    fn check(
        &self,
        token: &VerifiedToken,
        route: &Route,
        table: &RouteTable,
        now: UnixMillis,
    ) -> Result<(), AuthenticateError> {
        if now >= token.caller.expires {
            return Err(AuthenticateError::Invalid(EXPIRED));
        }
        let issuer_is_ours = *token.issuer == *route.url || *token.issuer == *root_issuer(route);
        if *token.audience != *route.url || *token.route_uid != *route.uid || !issuer_is_ours {
            return Err(AuthenticateError::Invalid(WRONG_AUDIENCE));
        }
        if self.feed.is_revoked(&token.caller.grant_id) {
            return Err(AuthenticateError::Invalid(REVOKED));
        }
        if !is_registered(table, &token.caller.client_id) {
            return Err(AuthenticateError::Invalid(UNKNOWN_WORKLOAD));
        }
        Ok(())
    }

    /// Loads the token's principal, and caches the token.
    async fn load_caller(
        &self,
        hash: TokenHash,
        token: &VerifiedToken,
    ) -> Result<Arc<Caller>, AuthenticateError> {
        let epoch = self.feed.epoch();
        let person = match self.principals.load(&token.caller.principal.id).await {
            Ok(Some(person)) => person,
            Ok(None) => return Err(AuthenticateError::Invalid(UNKNOWN_PRINCIPAL)),
            Err(error) => {
                tracing::warn!(
                    principal = token.caller.principal.id.as_str(),
                    %error,
                    "failed to load principal"
                );
                return Err(AuthenticateError::Unavailable);
            }
        };
        let caller = if token.caller.principal == *person {
            Arc::clone(&token.caller)
        } else {
            Arc::new(Caller { principal: (*person).clone(), ..(*token.caller).clone() })
        };
        let verified = VerifiedToken {
            issuer: token.issuer.clone(),
            audience: token.audience.clone(),
            route_uid: token.route_uid.clone(),
            caller: Arc::clone(&caller),
            epoch,
            keyring_generation: token.keyring_generation,
        };
        self.verified.insert(hash, Arc::new(verified));
        Ok(caller)
    }
}

impl VerifiedToken {
    /// Creates an entry from the claims of a token with a verified signature. The principal has only its id
    /// until [`load_caller`](AccessTokenVerifier::load_caller) loads it.
    fn from_claims(claims: AccessClaims, keyring_generation: u64) -> Self {
        let principal = Principal {
            id: PrincipalId::from_stored(&claims.sub),
            identity_provider: Arc::default(),
            subject: Arc::default(),
            email: None,
            name: None,
            groups: Vec::new(),
        };
        let caller = Caller {
            principal,
            client_id: claims.client_id.into(),
            client_name: claims.client_name.into(),
            grant_id: claims.grant.into(),
            expires: UnixMillis(claims.exp.saturating_mul(1000)),
            grant_expires: UnixMillis(claims.grant_exp.unwrap_or(claims.exp).saturating_mul(1000)),
        };
        Self {
            issuer: claims.iss.into(),
            audience: claims.aud.into(),
            route_uid: claims.route.into(),
            caller: Arc::new(caller),
            epoch: u64::MAX,
            keyring_generation,
        }
    }
}

#[cfg(test)]
mod tests;
