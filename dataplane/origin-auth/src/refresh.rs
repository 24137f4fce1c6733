//! Obtains a credential from the store, and refreshes it at the authorization server when due. In this
//! process one task at a time does so for a person and origin; across all replicas there is one refresh at a
//! time.

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable as _;
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

/// Lease of a replica on a refresh. Longer than [`token::REQUEST_TIMEOUT`].
const LEASE_DURATION: Duration = Duration::from_secs(10);

/// Delays between checks whether another replica has finished: each is twice as long, up to a limit. Their
/// sum is longer than [`LEASE_DURATION`].
const MIN_LEASE_POLL_DELAY: Duration = Duration::from_millis(100);
const MAX_LEASE_POLL_DELAY: Duration = Duration::from_millis(800);
const MAX_LEASE_POLLS: usize = 18;

/// How often a cached credential is compared with the store: another replica may have deleted the account.
const REVISIT_INTERVAL: Duration = Duration::from_secs(300);

/// Precision of `last_used_at`. Connections in use reach this code every [`REVISIT_INTERVAL`].
const LAST_USED_RESOLUTION_MILLIS: i64 = 3600 * 1000;

/// Delay after a failed refresh while the token is still valid.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Delays between attempts to store new tokens: the old refresh token may already be invalid.
const WRITE_RETRY_DELAYS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(300)];

/// Result of a refresh.
enum RefreshOutcome {
    Done(Credential),
    /// The connection changed meanwhile; read it again.
    Superseded,
    Dead,
    Failed(String),
}

impl Inner {
    /// Obtains a credential from the store or the authorization server. Continues when the caller goes away:
    /// new tokens that are not stored would cost the person their connection.
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
        // These modes need no consent, so only this limit protects the authorization server from repeated
        // requests.
        let unasked =
            matches!(origin.credential_subject(), CredentialSubject::Gateway | CredentialSubject::SignIn);
        if let Some(failed) = &gate.failed
            && Arc::ptr_eq(&failed.origin, origin) // a changed origin may be fixed
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
                tracing::warn!(origin = %origin.name, %problem, "failed to load a connection; using its cached token");
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
                        "the access token is no longer valid, and there is no refresh token",
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
        Err(CredentialError::Unavailable(
            "timed out waiting for another replica to refresh the token".to_owned(),
        ))
    }

    /// The stored connection, if it is usable and matches the origin.
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
            tracing::warn!(origin = %origin.name, "failed to open a stored connection; its sealing key is missing");
            gone(ConnectionStatus::ReconnectNeeded)
        })
    }

    async fn record_use(&self, row: &ConnectionRow, now: UnixMillis) {
        let before = now.0.saturating_sub(LAST_USED_RESOLUTION_MILLIS);
        if row.last_used_at.is_some_and(|at| at >= before) {
            return;
        }
        let recorded =
            self.parts.store.touch_connection(&row.principal_id, &row.origin_uid, now.0, before).await;
        if let Err(error) = recorded {
            tracing::debug!(%error, "failed to record the last use of a connection");
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
                        "the authorization server rejected the gateway's client: {problem}; an administrator has to check the client registration of the origin"
                    )));
                }
                if code == "invalid_client" {
                    // The registration is gone, and the grant with it. The next consent registers again.
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
        let write = || self.parts.store.renew_connection(&connection.row, &renewal);
        match write.retry(WRITE_RETRY_DELAYS.into_iter()).await {
            Ok(true) => {}
            Ok(false) => return Ok(RefreshOutcome::Superseded),
            Err(error) => {
                tracing::error!(origin = %origin.name, %error, "failed to store a refreshed token; using it from memory");
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

    /// Marks a connection as dead and publishes the change. `false` if the connection changed meanwhile.
    async fn mark_dead(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        row: &ConnectionRow,
    ) -> Result<bool, CredentialError> {
        let revision = self.parts.random.token()?;
        let marked = self.parts.store.mark_connection_dead(row, &revision).await?;
        if marked {
            self.cache.invalidate(who, origin);
            self.publish_change(who, origin, false);
        }
        Ok(marked)
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

/// Delays between checks of another replica's lease.
fn lease_poll_delays() -> impl Iterator<Item = Duration> {
    let doubled = |pause: &Duration| Some((*pause * 2).min(MAX_LEASE_POLL_DELAY));
    std::iter::successors(Some(MIN_LEASE_POLL_DELAY), doubled).take(MAX_LEASE_POLLS)
}

/// Whether the same refresh token would be rejected again. `bad_refresh_token` is GitHub's name for
/// `invalid_grant`.
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
