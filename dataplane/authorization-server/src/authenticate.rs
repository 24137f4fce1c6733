//! Authenticates access tokens. Every MCP request passes through here.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use portcullis_clock::UnixMillis;
use portcullis_policy::{Principal, PrincipalId, Route, RouteTable};
use sha2::{Digest as _, Sha256};

use crate::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use crate::client::is_registered;
use crate::issue_token::SCOPE;
use crate::{AuthenticateError, AuthorizationServer, Caller};

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
pub(crate) type TokenHash = [u8; 32];

/// A token with a verified signature. Everything that can change during its lifetime is checked on every
/// call.
pub(crate) struct VerifiedToken {
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

impl AuthorizationServer {
    /// Verifies an access token for a route of this table: signature (cached), expiry, audience, issuer, the route's UID,
    /// revocation. Returns the caller with the current principal. For a cached token this needs no access to
    /// the store.
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
        let now = self.clock().now();
        if !self.is_fresh(now, Some(table)) {
            return Err(AuthenticateError::Unavailable);
        }
        if token.len() > MAX_TOKEN_LEN {
            return Err(AuthenticateError::Invalid(NOT_ISSUED_HERE));
        }
        let hash: TokenHash = Sha256::digest(token).into();
        let keyring_generation = self.keys().generation();
        if let Some(verified) =
            self.tokens().get(&hash).filter(|verified| verified.keyring_generation == keyring_generation)
        {
            self.check(&verified, route, table, now)?;
            if verified.epoch == self.feed().epoch() {
                return Ok(Arc::clone(&verified.caller));
            }
            // A principal changed, possibly this one.
            return Box::pin(self.load_caller(hash, &verified)).await;
        }
        let claims: AccessClaims = self
            .keys()
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

    /// Whether the revocation feed is fresh enough to accept tokens. Used for readiness.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_fresh(self.clock().now(), self.tables().current().as_deref())
    }

    fn is_fresh(&self, now: UnixMillis, table: Option<&RouteTable>) -> bool {
        let Some(read_at) = self.feed().last_read_at() else { return false };
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
        if self.feed().is_revoked(&token.caller.grant_id) {
            return Err(AuthenticateError::Invalid(REVOKED));
        }
        if !is_registered(table, &token.caller.client_id) {
            return Err(AuthenticateError::Invalid(UNKNOWN_WORKLOAD));
        }
        Ok(())
    }

    /// Whether the current settings still contain the client. True without a route table, because then
    /// nothing is served.
    pub(crate) fn is_client_registered(&self, client_id: &str) -> bool {
        self.tables().current().is_none_or(|table| is_registered(&table, client_id))
    }

    /// Loads the token's principal, and caches the token.
    async fn load_caller(
        &self,
        hash: TokenHash,
        token: &VerifiedToken,
    ) -> Result<Arc<Caller>, AuthenticateError> {
        let epoch = self.feed().epoch();
        let person = match self.load_principal(&token.caller.principal.id).await {
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
        self.tokens().insert(hash, Arc::new(verified));
        Ok(caller)
    }

    /// The `WWW-Authenticate` header of a 401, or of a 403 because of a missing scope (RFC 9728, section 5.1;
    /// RFC 6750, section 3). It names an error only if the request had a token.
    #[must_use]
    pub fn challenge(&self, route: &Route, error: Option<&AuthenticateError>) -> HeaderValue {
        let mut challenge = String::from("Bearer ");
        if let Some(error) = error {
            let code = match error {
                AuthenticateError::InsufficientScope => "insufficient_scope",
                AuthenticateError::Invalid(_) | AuthenticateError::Unavailable => "invalid_token",
            };
            challenge.push_str(&format!(r#"error="{code}", error_description="{error}", "#));
        }
        let (base, slug) = (root_issuer(route), &route.slug);
        challenge.push_str(&format!(
            r#"resource_metadata="{base}/.well-known/oauth-protected-resource/mcp/{slug}", scope="mcp""#
        ));
        HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

impl VerifiedToken {
    /// Creates an entry from the claims of a token with a verified signature. The principal has only its id
    /// until [`load_caller`](AuthorizationServer::load_caller) loads it.
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

/// The gateway's public URL, which is the identifier of the root issuer: a route's URL without `/mcp/{slug}`.
pub(crate) fn root_issuer(route: &Route) -> &str {
    route.url.strip_suffix(&*route.slug).and_then(|url| url.strip_suffix("/mcp/")).unwrap_or(&route.url)
}

#[cfg(test)]
mod tests {
    use portcullis_clock::Random;
    use portcullis_keyring::Keyring;

    use super::*;
    use crate::testing::{TestServer, ana};

    fn invalid(result: Result<Arc<Caller>, AuthenticateError>) -> &'static str {
        match result {
            Err(AuthenticateError::Invalid(reason)) => reason,
            Err(AuthenticateError::Unavailable) => "unavailable",
            Err(AuthenticateError::InsufficientScope) => "insufficient_scope",
            Ok(_) => "honoured",
        }
    }

    #[tokio::test]
    async fn given_a_token_when_shown_then_the_person_behind_it_is_as_last_described() {
        let world = TestServer::new(&["a"]).await;
        let client = world.client().await;
        let issued = world.tokens(&client, "a").await;
        let token = issued.text("access_token");
        let caller = world.authenticate(token, "a").await.unwrap();
        assert_eq!(
            (&caller.principal, &*caller.client_name, &*caller.client_id),
            (&ana(), "Test", client.id.as_str())
        );
        assert!(Arc::ptr_eq(&caller, &world.authenticate(token, "a").await.unwrap()), "remembered");

        let described_anew = Principal::new("company", "ana", None, Some("Ana"), ["readers"]);
        world.identity.save_principal(&described_anew).await.unwrap();
        assert_eq!(world.authenticate(token, "a").await.unwrap().principal, described_anew);
    }

    #[tokio::test]
    async fn given_a_person_described_anew_at_another_replica_when_the_log_is_read_then_it_is_known_here() {
        let world = TestServer::new(&["a"]).await;
        let other = world.replica(&["a"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        let token = issued.text("access_token");
        assert!(other.authenticate(token, "a").await.is_ok());
        let anew = Principal::new("company", "ana", None, None, ["readers"]);
        world.identity.save_principal(&anew).await.unwrap();
        world.advance(1);
        other.identity.read_feed().await.unwrap();
        assert_eq!(other.authenticate(token, "a").await.unwrap().principal, anew);
    }

    /// Requirements: as.token.audience
    #[tokio::test]
    async fn given_a_token_when_it_is_for_another_route_then_it_is_not_honoured() {
        let world = TestServer::new(&["a", "b"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        assert_eq!(invalid(world.authenticate(issued.text("access_token"), "b").await), WRONG_AUDIENCE);
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
        assert_eq!(invalid(world.authenticate(issued.text("access_token"), "b").await), WRONG_AUDIENCE);
    }

    /// Requirements: as.token.audience
    #[tokio::test]
    async fn given_a_token_when_another_route_has_taken_the_slug_then_it_is_not_honoured() {
        let world = TestServer::new(&["a"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
        world.swap(&["a"], |contract| contract.routes[0].uid = "uid-another".to_owned());
        assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), WRONG_AUDIENCE);
    }

    /// Requirements: as.token.audience
    #[tokio::test]
    async fn given_a_token_of_our_key_when_its_issuer_or_audience_is_not_ours_then_it_is_not_honoured() {
        let world = TestServer::new(&["a", "b"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        let claims: AccessClaims =
            world.keys.signing.verify(ACCESS_TOKEN_TYPE, issued.text("access_token")).unwrap();
        let (ours, b) = ("https://gateway.example/mcp/a", "https://gateway.example/mcp/b");
        for (iss, aud, honoured) in [
            (ours, ours, true),
            ("https://gateway.example", ours, true),
            (b, ours, false),
            ("https://gateway.example/", ours, false),
            ("https://elsewhere.example", ours, false),
            (ours, b, false),
            (ours, "https://gateway.example", false),
        ] {
            let claims = AccessClaims { iss: iss.to_owned(), aud: aud.to_owned(), ..claims.clone() };
            let token = world.keys.signing.sign(ACCESS_TOKEN_TYPE, &claims).unwrap();
            assert_eq!(world.authenticate(&token, "a").await.is_ok(), honoured, "{iss} {aud}");
        }
        let of_another_type = world.keys.signing.sign("jwt", &claims).unwrap();
        for token in [of_another_type.as_str(), "", "x", &"x".repeat(100_000)] {
            assert_eq!(invalid(world.authenticate(token, "a").await), NOT_ISSUED_HERE);
        }
    }

    #[tokio::test]
    async fn given_a_token_of_our_key_when_it_is_longer_than_any_we_give_then_it_is_not_looked_at() {
        let world = TestServer::new(&["a"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        let claims: AccessClaims =
            world.keys.signing.verify(ACCESS_TOKEN_TYPE, issued.text("access_token")).unwrap();
        let mut seen = Vec::new();
        for name in 5_000..5_800 {
            let claims = AccessClaims { client_name: "x".repeat(name), ..claims.clone() };
            let token = world.keys.signing.sign(ACCESS_TOKEN_TYPE, &claims).unwrap();
            if token.len().abs_diff(MAX_TOKEN_LEN) < 4 {
                let honoured = world.authenticate(&token, "a").await.is_ok();
                assert_eq!(honoured, token.len() <= MAX_TOKEN_LEN, "{}", token.len());
                seen.push(honoured);
            }
        }
        assert!(seen.contains(&true) && seen.contains(&false), "tokens on both sides of the limit: {seen:?}");
    }

    /// Requirements: rs.insufficient-scope
    #[tokio::test]
    async fn given_a_token_of_our_key_when_it_was_given_for_another_scope_then_a_larger_one_is_asked_for() {
        let world = TestServer::new(&["a", "b"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        let claims: AccessClaims =
            world.keys.signing.verify(ACCESS_TOKEN_TYPE, issued.text("access_token")).unwrap();
        for (scope, told) in [
            ("mcp", "honoured"),
            ("other mcp", "honoured"),
            ("", "insufficient_scope"),
            ("mcp2", "insufficient_scope"),
        ] {
            let claims = AccessClaims { scope: scope.to_owned(), ..claims.clone() };
            let token = world.keys.signing.sign(ACCESS_TOKEN_TYPE, &claims).unwrap();
            for _ in 0..2 {
                assert_eq!(invalid(world.authenticate(&token, "a").await), told, "{scope}");
            }
            assert_eq!(
                invalid(world.authenticate(&token, "b").await),
                WRONG_AUDIENCE,
                "first of all it has to be for the route"
            );
        }
        let challenge =
            world.identity.challenge(&world.route("a"), Some(&AuthenticateError::InsufficientScope));
        let challenge = challenge.to_str().unwrap();
        assert!(
            challenge.starts_with(r#"Bearer error="insufficient_scope","#)
                && challenge.ends_with(r#"scope="mcp""#),
            "{challenge}"
        );
    }

    /// Requirements: as.keys.rotation
    #[tokio::test]
    async fn given_a_remembered_token_when_its_key_is_taken_out_of_the_rings_then_it_is_refused_at_once() {
        let world = TestServer::new(&["a"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
        let others = Keyring::generate(&Random::system()).unwrap();
        world.keys.replace_with(&Keyring::from_json(&others).unwrap());
        assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), NOT_ISSUED_HERE);
    }

    /// Requirements: as.token.expiry
    #[tokio::test]
    async fn given_a_token_when_its_time_is_over_then_it_is_not_honoured_although_remembered() {
        let world = TestServer::new(&["a"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        world.advance(899);
        world.identity.read_feed().await.unwrap();
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
        world.advance(1);
        assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), EXPIRED);
    }

    /// Requirements: as.revocation.everywhere
    #[tokio::test]
    async fn given_a_grant_revoked_at_another_replica_when_the_log_is_read_then_its_tokens_end_here() {
        let world = TestServer::new(&["a"]).await;
        let other = world.replica(&["a"]).await;
        let client = world.client().await;
        let issued = world.tokens(&client, "a").await;
        let token = issued.text("access_token");
        assert!(other.authenticate(token, "a").await.is_ok());
        world.advance(1);
        world.post("/mcp/a/oauth/revoke", &[("client_id", &client.id), ("token", token)]).await;
        assert_eq!(invalid(world.authenticate(token, "a").await), REVOKED);
        other.identity.read_feed().await.unwrap();
        assert_eq!(invalid(other.authenticate(token, "a").await), REVOKED);
        // And at one that starts later.
        assert_eq!(invalid(world.replica(&["a"]).await.authenticate(token, "a").await), REVOKED);
    }

    /// Requirements: advisory.fail-open
    #[tokio::test]
    async fn given_no_fresh_feed_when_the_grace_is_over_then_nothing_is_honoured_until_it_is_back() {
        let world = TestServer::new(&["a"]).await;
        world.swap(&["a"], |contract| contract.gateway.store_outage_grace_seconds = 60);
        let issued = world.tokens(&*world.client().await, "a").await;
        world.advance(60);
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
        world.advance(1);
        assert!(!world.identity.is_ready());
        assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), "unavailable");
        world.identity.read_feed().await.unwrap();
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
    }

    #[tokio::test]
    async fn given_a_store_that_does_not_answer_when_a_remembered_token_is_shown_then_it_is_honoured() {
        let world = TestServer::new(&["a"]).await;
        let issued = world.tokens(&*world.client().await, "a").await;
        world.authenticate(issued.text("access_token"), "a").await.unwrap();
        world.store.close().await;
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
        let cold = world.replica_without_feed();
        let table = world.identity.tables().current().unwrap();
        assert_eq!(
            invalid(cold.authenticate(issued.text("access_token"), &world.route("a"), &table).await),
            "unavailable"
        );
    }

    /// Requirements: rs.challenge
    #[tokio::test]
    async fn given_a_challenge_when_a_token_was_sent_then_and_only_then_it_names_an_error() {
        let world = TestServer::new(&["a"]).await;
        let route = world.route("a");
        let metadata = r#"resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp/a", scope="mcp""#;
        assert_eq!(world.identity.challenge(&route, None), format!("Bearer {metadata}"));
        assert_eq!(
            world.identity.challenge(&route, Some(&AuthenticateError::Invalid(EXPIRED))),
            format!(r#"Bearer error="invalid_token", error_description="{EXPIRED}", {metadata}"#)
        );
    }
}
