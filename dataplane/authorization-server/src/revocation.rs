//! Revokes grants: a single one, or all of a user, a client or a route. Signing out a user also ends their
//! browser sessions. Effective immediately on this replica, and within two seconds on the others.

use std::sync::Arc;

use portcullis_clock::{Clock, UnixMillis};
use portcullis_events::{Event, EventKind, EventSink, Outcome};
use portcullis_identity_providers::RenewalClient;
use portcullis_policy::{PrincipalId, RouteTable};
use portcullis_store::{GrantFilter, GrantRow, SessionFilter, Store};

use crate::grant_event::add_grant_to_event;
use crate::revocation_feed::RevocationFeed;
use crate::{InternalError, Principals};

/// Minimum time that a revoked grant stays in the change log. It is longer if the settings allow access
/// tokens a longer lifetime.
const MAX_ACCESS_TOKEN_SECONDS: u64 = 24 * 3600;

/// Numbers of revoked grants and ended sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevokedCounts {
    /// Revoked grants.
    pub grants: usize,
    /// Ended browser sessions.
    pub sessions: u64,
}

impl std::ops::AddAssign for RevokedCounts {
    fn add_assign(&mut self, other: Self) {
        self.grants += other.grants;
        self.sessions += other.sessions;
    }
}

/// Revokes grants and ends sessions.
pub struct GrantRevocation {
    store: Store,
    clock: Clock,
    events: EventSink,
    renewal: Arc<RenewalClient>,
    feed: Arc<RevocationFeed>,
    principals: Arc<Principals>,
}

impl GrantRevocation {
    pub(crate) const fn new(
        store: Store,
        clock: Clock,
        events: EventSink,
        renewal: Arc<RenewalClient>,
        feed: Arc<RevocationFeed>,
        principals: Arc<Principals>,
    ) -> Self {
        Self { store, clock, events, renewal, feed, principals }
    }

    /// Signs a user out everywhere: ends their browser sessions, revokes their grants, and deletes the
    /// refresh token of their identity provider.
    ///
    /// # Errors
    /// When the store fails. Part of the sign-out may be done then; another call completes it.
    pub async fn sign_out_everywhere(
        &self,
        table: &RouteTable,
        who: &PrincipalId,
        reason: &'static str,
    ) -> Result<RevokedCounts, InternalError> {
        let id = who.as_str();
        let ended =
            self.revoke_all(table, SessionFilter::Person(id), GrantFilter::Person(id), reason).await?;
        // Last: if the sign-out fails before this, the next renewal finds the sign-in ended again and
        // completes it.
        self.renewal.delete_refresh_token(who).await?;
        Ok(ended)
    }

    /// Ends all browser sessions and grants that began in one session of an identity provider. For `people`,
    /// also ends those without a known provider session, because they may belong to it.
    ///
    /// # Errors
    /// As for [`sign_out_everywhere`](Self::sign_out_everywhere).
    pub async fn end_provider_session(
        &self,
        table: &RouteTable,
        session: &str,
        people: &[PrincipalId],
        reason: &'static str,
    ) -> Result<RevokedCounts, InternalError> {
        self.store.clear_provider_session_tokens(session).await?;
        let (sessions, grants) =
            (SessionFilter::ProviderSession(session), GrantFilter::ProviderSession(session));
        let mut ended = self.revoke_all(table, sessions, grants, reason).await?;
        for person in people {
            let id = person.as_str();
            let (sessions, grants) = (SessionFilter::Unattributed(id), GrantFilter::Unattributed(id));
            ended += self.revoke_all(table, sessions, grants, reason).await?;
        }
        Ok(ended)
    }

    async fn revoke_all(
        &self,
        table: &RouteTable,
        sessions: SessionFilter<'_>,
        grants: GrantFilter<'_>,
        reason: &'static str,
    ) -> Result<RevokedCounts, InternalError> {
        // Sessions first: a signed-in browser could create new grants meanwhile.
        let sessions = self.store.end_sessions(sessions).await?;
        Ok(RevokedCounts { sessions, grants: self.revoke_grants(table, grants, reason).await? })
    }

    /// Revokes a grant with all its tokens, and records an event with `reason`. Does nothing if the grant was
    /// already revoked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke_grant(
        &self,
        table: &RouteTable,
        grant: &GrantRow,
        reason: &'static str,
    ) -> Result<(), InternalError> {
        let now = self.clock.now();
        let until = retained_until(table, now);
        let ended = self.store.revoke_grant(&grant.id, now.0, until.0).await?;
        self.feed.add_revocations([grant.id.clone()], until, now);
        if ended {
            self.record_revocation(table, grant, reason).await;
        }
        Ok(())
    }

    /// Revokes all grants that match a filter, and invalidates their codes that are not redeemed yet. Returns
    /// the number of revoked grants.
    ///
    /// # Errors
    /// When the store fails. Some grants may be revoked then; another call revokes the rest.
    pub async fn revoke_grants(
        &self,
        table: &RouteTable,
        whose: GrantFilter<'_>,
        reason: &'static str,
    ) -> Result<usize, InternalError> {
        // Codes first: a code that is being redeemed meanwhile becomes a grant, which is found below.
        self.store.invalidate_codes(whose, self.clock.now().0).await?;
        let mut count = 0;
        loop {
            let now = self.clock.now();
            let until = retained_until(table, now);
            let ended = self.store.revoke_grants(whose, now.0, until.0).await?;
            if ended.is_empty() {
                return Ok(count);
            }
            count += ended.len();
            self.feed.add_revocations(ended.iter().map(|grant| grant.id.clone()), until, now);
            for grant in &ended {
                self.record_revocation(table, grant, reason).await;
            }
        }
    }

    async fn record_revocation(&self, table: &RouteTable, grant: &GrantRow, reason: &'static str) {
        let mut event = Event::new(self.clock.now(), EventKind::Revoked, Outcome::Success);
        event.reason = Some(reason);
        add_grant_to_event(&mut event, table, grant, &self.principals).await;
        self.events.record(event);
    }
}

/// Until when the change log must list a grant that is revoked now.
fn retained_until(table: &RouteTable, now: UnixMillis) -> UnixMillis {
    now.after_seconds(table.gateway.tokens.access_seconds.max(MAX_ACCESS_TOKEN_SECONDS))
}

#[cfg(test)]
mod tests {
    use portcullis_keyring::digest;
    use portcullis_store::SessionRow;

    use super::*;
    use crate::testing::{REDIRECT, TestServer, VERIFIER, ana};
    use crate::{ApprovedRequest, Issuer};

    #[tokio::test]
    async fn given_a_person_when_all_their_grants_end_then_their_tokens_do_here_at_once_and_elsewhere_at_the_next_reading()
     {
        let world = TestServer::new(&["a", "b"]).await;
        let other = world.replica(&["a", "b"]).await;
        let client = world.client().await;
        let mut tokens = Vec::new();
        for route in ["a", "b"] {
            let issued = world.tokens(&client, route).await;
            let token = issued.text("access_token").to_owned();
            assert!(other.authenticate(&token, route).await.is_ok());
            tokens.push((token, route));
        }
        let table = world.table();
        let ana = ana();
        let whose = GrantFilter::Person(ana.id.as_str());
        let ended = world.identity.revocation.revoke_grants(&table, whose, "by_admin").await.unwrap();
        assert_eq!(ended, 2);
        other.identity.feed_reader.read().await.unwrap();
        for (token, route) in &tokens {
            assert!(world.authenticate(token, route).await.is_err());
            assert!(other.authenticate(token, route).await.is_err());
        }
        assert_eq!(world.identity.revocation.revoke_grants(&table, whose, "by_admin").await.unwrap(), 0);
    }

    #[tokio::test]
    async fn given_a_session_of_a_provider_when_it_ends_then_what_began_in_it_or_in_none_that_is_known_does()
    {
        let world = TestServer::new(&["a"]).await;
        let (client, table, route) = (world.client().await, world.table(), world.route("a"));
        let (ana, now) = (ana().id, world.clock.now());
        let mut tokens = Vec::new();
        for (number, session) in [Some("laptop"), None, None, Some("phone")].into_iter().enumerate() {
            let sign_in = SessionRow {
                id: number.to_string(),
                identity_provider: "company".to_owned(),
                principal: ana.as_str().to_owned(),
                signed_in_at: now.0,
                expires_at: now.after_seconds(3600).0,
                provider_session: session.map(ToOwned::to_owned),
            };
            world.store.rotate_browser_session(None, &sign_in).await.unwrap();
            let approved = ApprovedRequest {
                client: &client,
                principal: &ana,
                provider_session: session,
                issuer: &Issuer::Root,
                route: &route,
                redirect_uri: REDIRECT,
                code_challenge: &digest(VERIFIER),
                scope: "mcp",
            };
            let code = world.identity.codes.issue(approved).await.unwrap();
            let issued = world.exchange("/oauth/token", &client, &code, &[]).await;
            tokens.push(issued.text("access_token").to_owned());
        }
        let people = std::slice::from_ref(&ana);
        let ended = world
            .identity
            .revocation
            .end_provider_session(&table, "laptop", people, "by_provider")
            .await
            .unwrap();
        assert_eq!(ended, RevokedCounts { grants: 3, sessions: 3 });
        for (number, token) in tokens.iter().enumerate() {
            let left = world.store.browser_session(&number.to_string(), now.0).await.unwrap();
            assert_eq!(left.len(), usize::from(number == 3), "{number}");
            assert_eq!(world.authenticate(token, "a").await.is_ok(), number == 3, "{number}");
        }
    }
}
