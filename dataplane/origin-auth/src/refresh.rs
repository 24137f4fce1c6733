//! The slow way to a credential: the store, and where it is due the authorization server. One task at a time for a person and
//! origin in this process, one refresh at a time across all replicas.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use portcullis_clock::UnixMillis;
use portcullis_events::EventKind;
use portcullis_policy::{CredentialSubject, Origin, PrincipalId};
use portcullis_store::{ConnectionRow, Renewal};

use crate::audit::Failure;
use crate::client::RegistrationMethod;
use crate::connection::{Connection, Tokens, is_bound_to};
use crate::credential_cache::{CachedCredential, RecentFailure};
use crate::token::{self, TokenRequestError, TokenResponse};
use crate::{ConnectionStatus, Credential, CredentialError, Inner};

/// How long a replica has the refreshing for itself. Longer than [`token::REQUEST_TIMEOUT`].
const LEASE_DURATION: Duration = Duration::from_secs(10);

/// After how long a replica looks whether another has finished: each time twice as long, up to a limit. All looks together take
/// longer than a [`LEASE_DURATION`].
const MIN_LEASE_POLL_DELAY: Duration = Duration::from_millis(100);
const MAX_LEASE_POLL_DELAY: Duration = Duration::from_millis(800);
const MAX_LEASE_POLLS: usize = 18;

/// A credential in memory is compared with the store this often: another replica may have disconnected the account.
const REVISIT_INTERVAL: Duration = Duration::from_secs(300);

/// How exactly it is noted when a connection was last used. Whoever uses one comes by here each [`REVISIT_INTERVAL`].
const LAST_USED_RESOLUTION_MILLIS: i64 = 3600 * 1000;

/// After a refresh that failed while the token is still good.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// After which pauses a write of new tokens is tried again: the old refresh token may already be spent.
const WRITE_RETRY_DELAYS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(300)];

/// How a refresh ended.
enum RefreshOutcome {
    Done(Credential),
    /// The connection changed meanwhile; what is stored now counts.
    Superseded,
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
        let task =
            tokio::spawn(async move { inner.obtain_exclusively(&who, &origin, refused.as_deref()).await });
        task.await.unwrap_or_else(|error| Err(CredentialError::Unavailable(error.to_string())))
    }

    async fn obtain_exclusively(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        let arrived = self.parts.clock.now();
        let gate = self.cache.refresh_state(who, origin);
        let mut gate = gate.lock().await;
        let now = self.parts.clock.now();
        let remembered = self
            .cache
            .get(who, origin)
            .filter(|found| found.is_for(origin) && found.is_valid(now) && Some(&*found.header) != refused);
        if let Some(found) = &remembered
            && now < found.revisit_at
        {
            return Ok(found.credential());
        }
        // Where no person has consented, nothing but the authorization server stands between a call and a request there.
        let unasked =
            matches!(origin.credential_subject(), CredentialSubject::Gateway | CredentialSubject::SignIn);
        if let Some(failed) = &gate.failed
            && Arc::ptr_eq(&failed.origin, origin) // else somebody has mended it since
            && (failed.at >= arrived || unasked && now < failed.at.after(RETRY_DELAY))
        {
            return Err(failed.error.clone());
        }
        if unasked && refused.is_some() && !gate.may_replace(now) {
            return Err(CredentialError::Rejected);
        }
        let found = match origin.credential_subject() {
            CredentialSubject::Gateway => self.client_credentials_token(who, origin).await,
            CredentialSubject::SignIn => self.exchanged_credential(who, origin, refused).await,
            CredentialSubject::None | CredentialSubject::SharedAccount | CredentialSubject::Person => {
                self.load_or_refresh(who, origin, refused).await
            }
        };
        gate.failed = match &found {
            Err(error @ (CredentialError::Unavailable(_) | CredentialError::Refused(_))) => {
                Some(RecentFailure {
                    at: self.parts.clock.now(),
                    error: error.clone(),
                    origin: Arc::clone(origin),
                })
            }
            _ => None,
        };
        match (found, remembered) {
            (Err(CredentialError::Unavailable(problem)), Some(found)) => {
                tracing::warn!(origin = %origin.name, %problem, "a connection was not looked up; its token is still good");
                self.cache_credential(who, origin, &found.header, now.after(RETRY_DELAY), found.expires_at);
                Ok(found.credential())
            }
            (Err(error @ CredentialError::Unavailable(_)), None) => Err(error),
            (Err(error), _) => {
                self.cache.invalidate(who, origin);
                Err(error)
            }
            (Ok(credential), _) => Ok(credential),
        }
    }

    async fn load_or_refresh(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        for pause in lease_poll_delays() {
            let connection = self.limits.with_store_permit(self.stored_connection(who, origin)).await?;
            let now = self.parts.clock.now();
            let is_good = refused != Some(&*connection.header)
                && connection.expires_at().is_none_or(|expires_at| now < expires_at);
            if is_good && connection.refresh_at().is_none_or(|refresh_at| now < refresh_at) {
                self.limits.with_store_permit(self.record_use(&connection.row, now)).await;
                return Ok(self.cache_connection(who, origin, &connection, connection.refresh_at()));
            }
            if connection.tokens.refresh.is_none() {
                if is_good {
                    return Ok(self.cache_connection(who, origin, &connection, connection.expires_at()));
                }
                if self.mark_dead(who, origin, &connection.row).await? {
                    let failure = Failure::upstream(
                        "no_refresh_token",
                        "the token is of no use any more, and there is none to refresh it with",
                    );
                    self.record(EventKind::UpstreamRefresh, who, None, origin, Some(failure)).await;
                    return Err(CredentialError::NotConnected(ConnectionStatus::ReconnectNeeded));
                }
                continue;
            }
            let turn = self.limits.refresh_permit(&origin.uid).await;
            let now = self.parts.clock.now();
            let until = now.after(LEASE_DURATION);
            if !self.parts.store.lease_connection(&connection.row, now.0, until.0).await? {
                drop(turn);
                if is_good {
                    let soon = now.after(Duration::from_secs(1));
                    return Ok(self.cache_connection(who, origin, &connection, Some(soon)));
                }
                tokio::time::sleep(pause).await;
                continue;
            }
            match self.refresh(who, origin, &connection).await? {
                RefreshOutcome::Done(credential) => {
                    self.record(EventKind::UpstreamRefresh, who, None, origin, None).await;
                    return Ok(credential);
                }
                RefreshOutcome::Superseded => {}
                RefreshOutcome::Dead => {
                    return Err(CredentialError::NotConnected(ConnectionStatus::ReconnectNeeded));
                }
                RefreshOutcome::Failed(problem) => {
                    self.parts.store.release_connection(&connection.row, until.0).await.ok();
                    let failure = Failure::upstream("refresh_failed", &problem);
                    self.record(EventKind::UpstreamRefresh, who, None, origin, Some(failure)).await;
                    if is_good {
                        return Ok(self.cache_connection(
                            who,
                            origin,
                            &connection,
                            Some(now.after(RETRY_DELAY)),
                        ));
                    }
                    return Err(CredentialError::Unavailable(problem));
                }
            }
        }
        Err(CredentialError::Unavailable("another replica is refreshing it and does not finish".to_owned()))
    }

    /// The stored connection, as far as it may be used.
    pub(crate) async fn stored_connection(
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

    async fn record_use(&self, row: &ConnectionRow, now: UnixMillis) {
        let before = now.0.saturating_sub(LAST_USED_RESOLUTION_MILLIS);
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
    ) -> Result<RefreshOutcome, CredentialError> {
        let client = match self.client_for(origin, connection) {
            Ok(client) => client,
            Err(problem) => return Ok(RefreshOutcome::Failed(problem)),
        };
        let http = match self.http(origin) {
            Ok(http) => http,
            Err(error) => return Ok(RefreshOutcome::Failed(error.to_string())),
        };
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", connection.tokens.refresh.as_ref().map_or("", |token| token.as_str())),
            ("resource", connection.row.resource.as_str()),
        ];
        match token::request_token(&http, &connection.token_endpoint, &client, &form).await {
            Ok(answer) => self.store_refreshed(who, origin, connection, &answer).await,
            Err(TokenRequestError::Unavailable(problem)) => Ok(RefreshOutcome::Failed(problem)),
            Err(TokenRequestError::Refused { code, description }) => {
                let problem = TokenRequestError::Refused { code: code.clone(), description }.to_string();
                let is_ours =
                    code == "invalid_client" && client.registration == RegistrationMethod::Configured;
                if is_ours || !is_final(&code) {
                    return Ok(RefreshOutcome::Failed(format!(
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
                if !self.mark_dead(who, origin, &connection.row).await? {
                    return Ok(RefreshOutcome::Superseded);
                }
                let failure = Failure::upstream("grant_dead", problem);
                self.record(EventKind::UpstreamRefresh, who, None, origin, Some(failure)).await;
                Ok(RefreshOutcome::Dead)
            }
        }
    }

    async fn store_refreshed(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
        answer: &TokenResponse,
    ) -> Result<RefreshOutcome, CredentialError> {
        let now = self.parts.clock.now();
        let old = &connection.tokens;
        let mut tokens =
            Tokens::from_response(answer, old.refresh.as_ref().map(|token| token.as_str()), None);
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
        for pause in WRITE_RETRY_DELAYS {
            if written.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            written = self.parts.store.renew_connection(&connection.row, &renewal).await;
        }
        match written {
            Ok(true) => {}
            Ok(false) => return Ok(RefreshOutcome::Superseded),
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
            return Ok(RefreshOutcome::Superseded);
        };
        Ok(RefreshOutcome::Done(self.cache_connection(who, origin, &renewed, renewed.refresh_at())))
    }

    /// Marks a connection as dead and tells so; `false` when it has changed meanwhile.
    async fn mark_dead(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        row: &ConnectionRow,
    ) -> Result<bool, CredentialError> {
        let revision = self.parts.random.token()?;
        let buried = self.parts.store.mark_connection_dead(row, &revision).await?;
        if buried {
            self.cache.invalidate(who, origin);
            self.publish_change(who, origin, false);
        }
        Ok(buried)
    }

    pub(crate) fn cache_connection(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
        refresh_at: Option<UnixMillis>,
    ) -> Credential {
        let look = self.parts.clock.now().after(REVISIT_INTERVAL);
        let revisit_at = refresh_at.map_or(look, |refresh_at| refresh_at.min(look));
        self.cache_credential(who, origin, &connection.header, revisit_at, connection.expires_at());
        Credential::bearer(origin, Arc::clone(&connection.header))
    }

    pub(crate) fn cache_credential(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        header: &Arc<HeaderValue>,
        revisit_at: UnixMillis,
        expires_at: Option<UnixMillis>,
    ) {
        let remembered = CachedCredential::new(origin, Arc::clone(header), revisit_at, expires_at);
        self.cache.put(who, Arc::new(remembered));
    }
}

/// How long a replica waits after each look.
fn lease_poll_delays() -> impl Iterator<Item = Duration> {
    let doubled = |pause: &Duration| Some((*pause * 2).min(MAX_LEASE_POLL_DELAY));
    std::iter::successors(Some(MIN_LEASE_POLL_DELAY), doubled).take(MAX_LEASE_POLLS)
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
        let pauses: Vec<_> = lease_poll_delays().collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800].map(Duration::from_millis));
        assert!(pauses.iter().all(|pause| *pause <= MAX_LEASE_POLL_DELAY));
        assert!(pauses.iter().sum::<Duration>() > LEASE_DURATION);
    }
}
