//! The slow way to a credential: the store, and where it is due the authorization server. One task at a time for a person and
//! origin in this process, one refresh at a time across all replicas.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use portcullis_ambient::Instant;
use portcullis_events::Kind;
use portcullis_policy::{Holder, Origin, PrincipalId};
use portcullis_store::{ConnectionRow, Renewal};

use crate::client::Registration;
use crate::connection::{Connection, Tokens, is_bound_to};
use crate::memory::{Failed, Remembered};
use crate::record::Failure;
use crate::token::{self, TokenAnswer, TokenError};
use crate::{ConnectionStatus, Credential, CredentialError, Inner};

/// How long a replica has the refreshing for itself. Longer than [`token::DEADLINE`].
const LEASE: Duration = Duration::from_secs(10);

/// After how long a replica looks whether another has finished: each time twice as long, up to a limit. All looks together take
/// longer than a [`LEASE`].
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_millis(800);
const LOOKS: usize = 18;

/// A credential in memory is compared with the store this often: another replica may have disconnected the account.
const REVISIT: Duration = Duration::from_secs(300);

/// How exactly it is noted when a connection was last used. Whoever uses one comes by here each [`REVISIT`].
const USE_NOTED: i64 = 3600 * 1000;

/// After a refresh that failed while the token is still good.
const POSTPONED: Duration = Duration::from_secs(5);

/// After which pauses a write of new tokens is tried again: the old refresh token may already be spent.
const WRITE_AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(300)];

/// How a refresh ended.
enum Refreshed {
    Done(Credential),
    /// The connection changed meanwhile; what is stored now counts.
    Overtaken,
    Dead,
    Failed(String),
}

impl Inner {
    /// The credential by the slow way. Runs to its end although the caller may go away: an answer of the authorization server's
    /// that nobody stores would cost the person their connection.
    pub(crate) async fn obtain(
        self: &Arc<Self>,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: Option<Arc<HeaderValue>>,
    ) -> Result<Credential, CredentialError> {
        let (inner, who, origin) = (Arc::clone(self), who.clone(), Arc::clone(origin));
        let task = tokio::spawn(async move { inner.obtain_alone(&who, &origin, refused.as_deref()).await });
        task.await.unwrap_or_else(|error| Err(CredentialError::Unavailable(error.to_string())))
    }

    async fn obtain_alone(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        let arrived = self.parts.clock.now();
        let gate = self.memory.gate(who, origin);
        let mut gate = gate.lock().await;
        let now = self.parts.clock.now();
        let remembered = self
            .memory
            .get(who, origin)
            .filter(|found| found.serves(origin) && found.is_valid(now) && Some(&*found.header) != refused);
        if let Some(found) = &remembered
            && now < found.revisit_at
        {
            return Ok(found.credential());
        }
        // Where no person has consented, nothing but the authorization server stands between a call and a request there.
        let unasked = matches!(origin.holder(), Holder::Gateway | Holder::SignIn);
        if let Some(failed) = &gate.failed
            && Arc::ptr_eq(&failed.origin, origin) // else somebody has mended it since
            && (failed.at >= arrived || unasked && now < failed.at.after(POSTPONED))
        {
            return Err(failed.why.clone());
        }
        if unasked && refused.is_some() && !gate.may_replace(now) {
            return Err(CredentialError::Rejected);
        }
        let found = match origin.holder() {
            Holder::Gateway => self.own(who, origin).await,
            Holder::SignIn => self.exchanged(who, origin, refused).await,
            Holder::Nobody | Holder::Everybody | Holder::Person => self.look_up(who, origin, refused).await,
        };
        gate.failed = match &found {
            Err(error @ (CredentialError::Unavailable(_) | CredentialError::Refused(_))) => {
                Some(Failed { at: self.parts.clock.now(), why: error.clone(), origin: Arc::clone(origin) })
            }
            _ => None,
        };
        match (found, remembered) {
            (Err(CredentialError::Unavailable(problem)), Some(found)) => {
                tracing::warn!(origin = %origin.name, %problem, "a connection was not looked up; its token is still good");
                self.remember(who, origin, &found.header, now.after(POSTPONED), found.expires_at);
                Ok(found.credential())
            }
            (Err(error @ CredentialError::Unavailable(_)), None) => Err(error),
            (Err(error), _) => {
                self.memory.forget(who, origin);
                Err(error)
            }
            (Ok(credential), _) => Ok(credential),
        }
    }

    async fn look_up(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        for pause in pauses() {
            let connection = self.turns.at_store(self.stored(who, origin)).await?;
            let now = self.parts.clock.now();
            let is_good = refused != Some(&*connection.header)
                && connection.expires_at().is_none_or(|expires_at| now < expires_at);
            if is_good && connection.refresh_at().is_none_or(|refresh_at| now < refresh_at) {
                self.turns.at_store(self.note_use(&connection.row, now)).await;
                return Ok(self.remember_connection(who, origin, &connection, connection.refresh_at()));
            }
            if connection.tokens.refresh.is_none() {
                if is_good {
                    return Ok(self.remember_connection(who, origin, &connection, connection.expires_at()));
                }
                if self.bury(who, origin, &connection.row).await? {
                    let failure = Failure::upstream(
                        "no_refresh_token",
                        "the token is of no use any more, and there is none to refresh it with",
                    );
                    self.record(Kind::UpstreamRefresh, who, None, origin, Some(failure)).await;
                    return Err(CredentialError::NotConnected(ConnectionStatus::ReconnectNeeded));
                }
                continue;
            }
            let turn = self.turns.at_server(&origin.uid).await;
            let now = self.parts.clock.now();
            let until = now.after(LEASE);
            if !self.parts.store.lease_connection(&connection.row, now.0, until.0).await? {
                drop(turn);
                if is_good {
                    let soon = now.after(Duration::from_secs(1));
                    return Ok(self.remember_connection(who, origin, &connection, Some(soon)));
                }
                tokio::time::sleep(pause).await;
                continue;
            }
            match self.refresh(who, origin, &connection).await? {
                Refreshed::Done(credential) => {
                    self.record(Kind::UpstreamRefresh, who, None, origin, None).await;
                    return Ok(credential);
                }
                Refreshed::Overtaken => {}
                Refreshed::Dead => {
                    return Err(CredentialError::NotConnected(ConnectionStatus::ReconnectNeeded));
                }
                Refreshed::Failed(problem) => {
                    self.parts.store.release_connection(&connection.row, until.0).await.ok();
                    let failure = Failure::upstream("refresh_failed", &problem);
                    self.record(Kind::UpstreamRefresh, who, None, origin, Some(failure)).await;
                    if is_good {
                        return Ok(self.remember_connection(
                            who,
                            origin,
                            &connection,
                            Some(now.after(POSTPONED)),
                        ));
                    }
                    return Err(CredentialError::Unavailable(problem));
                }
            }
        }
        Err(CredentialError::Unavailable("another replica is refreshing it and does not finish".to_owned()))
    }

    /// The stored connection, as far as it may be used.
    pub(crate) async fn stored(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<Connection, CredentialError> {
        let gone = |status| CredentialError::NotConnected(status);
        let row = self
            .parts
            .store
            .connection(who.as_str(), &origin.uid)
            .await?
            .ok_or_else(|| gone(ConnectionStatus::NeverConnected))?;
        if row.dead != 0 || !is_bound_to(&row, origin) {
            return Err(gone(ConnectionStatus::ReconnectNeeded));
        }
        Connection::open(row, &self.parts.keys.sealing).ok_or_else(|| {
            tracing::warn!(origin = %origin.name, "a stored connection does not open; its sealing key is gone");
            gone(ConnectionStatus::ReconnectNeeded)
        })
    }

    async fn note_use(&self, row: &ConnectionRow, now: Instant) {
        let before = now.0.saturating_sub(USE_NOTED);
        if row.last_used_at.is_some_and(|at| at >= before) {
            return;
        }
        let noted =
            self.parts.store.touch_connection(&row.principal_id, &row.origin_uid, now.0, before).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "that a connection was used is not noted");
        }
    }

    async fn refresh(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
    ) -> Result<Refreshed, CredentialError> {
        let client = match self.client_of(origin, connection) {
            Ok(client) => client,
            Err(problem) => return Ok(Refreshed::Failed(problem)),
        };
        let http = match self.http(origin) {
            Ok(http) => http,
            Err(error) => return Ok(Refreshed::Failed(error.to_string())),
        };
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", connection.tokens.refresh.as_ref().map_or("", |token| token.as_str())),
            ("resource", connection.row.resource.as_str()),
        ];
        match token::ask(&http, &connection.token_endpoint, &client, &form).await {
            Ok(answer) => self.store_answer(who, origin, connection, &answer).await,
            Err(TokenError::Unavailable(problem)) => Ok(Refreshed::Failed(problem)),
            Err(TokenError::Refused { code, description }) => {
                let problem = TokenError::Refused { code: code.clone(), description }.to_string();
                let is_ours = code == "invalid_client" && client.registration == Registration::Configured;
                if is_ours || !is_final(&code) {
                    return Ok(Refreshed::Failed(format!(
                        "the authorization server refuses the gateway's client: {problem}; an administrator has to look at the client registration of the origin"
                    )));
                }
                if code == "invalid_client" {
                    // The registration went, and the grant with it. The next consent begins with a new one.
                    let row = &connection.row;
                    self.parts
                        .store
                        .remove_origin_client(&row.origin_uid, &row.issuer, &row.client_id)
                        .await?;
                }
                if !self.bury(who, origin, &connection.row).await? {
                    return Ok(Refreshed::Overtaken);
                }
                let failure = Failure::upstream("grant_dead", problem);
                self.record(Kind::UpstreamRefresh, who, None, origin, Some(failure)).await;
                Ok(Refreshed::Dead)
            }
        }
    }

    async fn store_answer(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
        answer: &TokenAnswer,
    ) -> Result<Refreshed, CredentialError> {
        let now = self.parts.clock.now();
        let old = &connection.tokens;
        let mut tokens = Tokens::of(answer, old.refresh.as_ref().map(|token| token.as_str()), None);
        tokens.client_secret.clone_from(&old.client_secret);
        let sealed = tokens
            .seal(&self.parts.keys.sealing, &self.parts.random, &connection.row)
            .map_err(|error| CredentialError::Unavailable(error.to_string()))?;
        let renewal = Renewal {
            sealed,
            scope: answer.scope.clone().unwrap_or_else(|| connection.row.scope.clone()),
            issued_at: now.0,
            expires_at: answer.lifetime.map(|seconds| now.after_seconds(seconds).0),
            revision: self.parts.random.token()?,
        };
        let mut written = self.parts.store.renew_connection(&connection.row, &renewal).await;
        for pause in WRITE_AGAIN {
            if written.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            written = self.parts.store.renew_connection(&connection.row, &renewal).await;
        }
        match written {
            Ok(true) => {}
            Ok(false) => return Ok(Refreshed::Overtaken),
            Err(error) => {
                tracing::error!(origin = %origin.name, %error, "a refreshed token could not be stored; it is used from memory");
            }
        }
        let mut row = connection.row.clone();
        row.sealed = renewal.sealed;
        row.scope = renewal.scope;
        row.issued_at = renewal.issued_at;
        row.expires_at = renewal.expires_at;
        row.revision = renewal.revision;
        let Some(renewed) = Connection::open(row, &self.parts.keys.sealing) else {
            return Ok(Refreshed::Overtaken);
        };
        Ok(Refreshed::Done(self.remember_connection(who, origin, &renewed, renewed.refresh_at())))
    }

    /// Marks a connection as dead and tells so; `false` when it has changed meanwhile.
    async fn bury(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        row: &ConnectionRow,
    ) -> Result<bool, CredentialError> {
        let revision = self.parts.random.token()?;
        let buried = self.parts.store.bury_connection(row, &revision).await?;
        if buried {
            self.memory.forget(who, origin);
            self.tell(who, origin, false);
        }
        Ok(buried)
    }

    pub(crate) fn remember_connection(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
        refresh_at: Option<Instant>,
    ) -> Credential {
        let look = self.parts.clock.now().after(REVISIT);
        let revisit_at = refresh_at.map_or(look, |refresh_at| refresh_at.min(look));
        self.remember(who, origin, &connection.header, revisit_at, connection.expires_at());
        Credential::bearer(origin, Arc::clone(&connection.header))
    }

    pub(crate) fn remember(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        header: &Arc<HeaderValue>,
        revisit_at: Instant,
        expires_at: Option<Instant>,
    ) {
        let remembered = Remembered::new(origin, Arc::clone(header), revisit_at, expires_at);
        self.memory.put(who, Arc::new(remembered));
    }
}

/// How long a replica waits after each look.
fn pauses() -> impl Iterator<Item = Duration> {
    let doubled = |pause: &Duration| Some((*pause * 2).min(LOOK_AGAIN_AT_MOST));
    std::iter::successors(Some(LOOK_AGAIN), doubled).take(LOOKS)
}

/// Whether the same refresh token would be refused again. The last one is GitHub's word for `invalid_grant`.
fn is_final(code: &str) -> bool {
    matches!(
        code,
        "invalid_grant"
            | "invalid_client"
            | "invalid_target"
            | "invalid_scope"
            | "unauthorized_client"
            | "unsupported_grant_type"
            | "bad_refresh_token"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_replica_that_died_over_a_refresh_then_another_looks_until_it_may_have_it() {
        let pauses: Vec<_> = pauses().collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800].map(Duration::from_millis));
        assert!(pauses.iter().all(|pause| *pause <= LOOK_AGAIN_AT_MOST));
        assert!(pauses.iter().sum::<Duration>() > LEASE);
    }
}
