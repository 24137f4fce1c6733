//! Loads connections from the store, and refreshes their tokens at the authorization server when due. Across
//! all replicas there is one refresh at a time for a person and origin.

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable as _;
use http::HeaderValue;
use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_egress::{EgressError, HttpClients};
use portcullis_events::EventKind;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{ConnectionRow, Renewal, Store};

use crate::audit::{AuditLog, Failure};
use crate::client::{ClientError, ConfiguredClients, RegistrationMethod};
use crate::concurrency::ConcurrencyLimits;
use crate::connection::{Connection, Tokens};
use crate::connection_store::ConnectionStore;
use crate::credential_cache::{CredentialCache, RETRY_DELAY};
use crate::registration::ClientRegistry;
use crate::token::{self, TokenEndpointError, TokenRequestError, TokenResponse};
use crate::{BrokerDependencies, ConnectionStatus, Credential, CredentialError, http_client};

/// Lease of a replica on a refresh. Longer than [`token::REQUEST_TIMEOUT`].
const LEASE_DURATION: Duration = Duration::from_secs(10);

/// Delays between checks whether another replica has finished: each is twice as long, up to a limit. Their
/// sum is longer than [`LEASE_DURATION`].
const MIN_LEASE_POLL_DELAY: Duration = Duration::from_millis(100);
const MAX_LEASE_POLL_DELAY: Duration = Duration::from_millis(800);
const MAX_LEASE_POLLS: usize = 18;

/// Precision of `last_used_at`. Connections in use reach this code every
/// [`REVISIT_INTERVAL`](crate::credential_cache::REVISIT_INTERVAL).
const LAST_USED_RESOLUTION_MILLIS: i64 = 3600 * 1000;

/// Delays between attempts to store new tokens: the old refresh token may already be invalid.
const WRITE_RETRY_DELAYS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(300)];

/// Result of one attempt to obtain a usable token.
enum Attempt {
    Done(Credential),
    /// The connection changed meanwhile; read it again.
    Changed,
    /// Another replica refreshes the token.
    LeasedElsewhere,
}

/// A refresh that ended without an error of the store.
enum RefreshOutcome {
    Done(Credential),
    /// The connection changed meanwhile; read it again.
    Superseded,
    Dead,
    Failed(RefreshError),
}

/// A refresh failed. The connection stays usable.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error(transparent)]
    Unavailable(#[from] TokenEndpointError),
    #[error(
        "the authorization server rejected the gateway's client: {0}; an administrator has to check the client registration of the origin"
    )]
    ClientRejected(#[source] TokenRequestError),
}

#[derive(Debug, thiserror::Error)]
#[error("timed out waiting for another replica to refresh the token")]
struct LeaseTimeout;

/// Refreshes the tokens of connections.
pub(crate) struct TokenRefresher {
    store: Store,
    http: HttpClients,
    clock: Clock,
    random: Random,
    limits: ConcurrencyLimits,
    connections: Arc<ConnectionStore>,
    cache: Arc<CredentialCache>,
    clients: Arc<ConfiguredClients>,
    registry: Arc<ClientRegistry>,
    audit: Arc<AuditLog>,
}

impl TokenRefresher {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        connections: &Arc<ConnectionStore>,
        cache: &Arc<CredentialCache>,
        clients: &Arc<ConfiguredClients>,
        registry: &Arc<ClientRegistry>,
        audit: &Arc<AuditLog>,
    ) -> Self {
        Self {
            store: dependencies.store.clone(),
            http: dependencies.http.clone(),
            clock: dependencies.clock.clone(),
            random: dependencies.random.clone(),
            limits: ConcurrencyLimits::new(),
            connections: Arc::clone(connections),
            cache: Arc::clone(cache),
            clients: Arc::clone(clients),
            registry: Arc::clone(registry),
            audit: Arc::clone(audit),
        }
    }

    /// Returns the stored token while it is valid, otherwise another one. The caller holds the lock of `who`
    /// and `origin`.
    pub(crate) async fn load_or_refresh(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        rejected: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        for delay in lease_poll_delays() {
            let connection = self.limits.with_store_permit(self.connections.load(who, origin)).await?;
            let now = self.clock.now();
            let is_good = rejected != Some(&*connection.header)
                && connection.expires_at().is_none_or(|expires_at| now < expires_at);
            if is_good && connection.refresh_at().is_none_or(|refresh_at| now < refresh_at) {
                self.limits.with_store_permit(self.record_use(&connection.row, now)).await;
                return Ok(self.cache.insert_connection(who, origin, &connection, connection.refresh_at()));
            }
            let attempt = if connection.tokens.refresh.is_some() {
                self.refresh_with_lease(who, origin, &connection, is_good).await?
            } else {
                self.use_without_refresh(who, origin, &connection, is_good).await?
            };
            match attempt {
                Attempt::Done(credential) => return Ok(credential),
                Attempt::Changed => {}
                Attempt::LeasedElsewhere => tokio::time::sleep(delay).await,
            }
        }
        Err(CredentialError::unavailable(LeaseTimeout))
    }

    /// Uses a token that cannot be refreshed until it expires. Then the connection ends.
    async fn use_without_refresh(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
        is_good: bool,
    ) -> Result<Attempt, CredentialError> {
        if is_good {
            let expires_at = connection.expires_at();
            return Ok(Attempt::Done(self.cache.insert_connection(who, origin, connection, expires_at)));
        }
        let problem = "the access token is no longer valid, and there is no refresh token";
        let failure = Failure::upstream("no_refresh_token", problem);
        if self.mark_dead(who, origin, &connection.row, failure).await? {
            return Err(CredentialError::NotConnected(ConnectionStatus::ReconnectNeeded));
        }
        Ok(Attempt::Changed)
    }

    /// Refreshes a token, unless another replica does. A token that is still good is used meanwhile, and
    /// after a failure.
    async fn refresh_with_lease(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
        is_good: bool,
    ) -> Result<Attempt, CredentialError> {
        let _permit = self.limits.refresh_permit(&origin.uid).await;
        let now = self.clock.now();
        let use_until =
            |time| Attempt::Done(self.cache.insert_connection(who, origin, connection, Some(time)));
        let leased_until = now.after(LEASE_DURATION).0;
        if !self.store.lease_connection(&connection.row, now.0, leased_until).await? {
            let soon = now.after(Duration::from_secs(1));
            return Ok(if is_good { use_until(soon) } else { Attempt::LeasedElsewhere });
        }
        match self.refresh(who, origin, connection).await? {
            RefreshOutcome::Done(credential) => {
                self.audit.record(EventKind::UpstreamRefresh, who, None, origin, None).await;
                Ok(Attempt::Done(credential))
            }
            RefreshOutcome::Superseded => Ok(Attempt::Changed),
            RefreshOutcome::Dead => Err(CredentialError::NotConnected(ConnectionStatus::ReconnectNeeded)),
            RefreshOutcome::Failed(error) => {
                self.store.release_connection(&connection.row, leased_until).await.ok();
                let failure = Failure::upstream("refresh_failed", &error);
                self.audit.record(EventKind::UpstreamRefresh, who, None, origin, Some(failure)).await;
                if is_good {
                    Ok(use_until(now.after(RETRY_DELAY)))
                } else {
                    Err(CredentialError::unavailable(error))
                }
            }
        }
    }

    async fn record_use(&self, row: &ConnectionRow, now: UnixMillis) {
        let before = now.0.saturating_sub(LAST_USED_RESOLUTION_MILLIS);
        if row.last_used_at.is_some_and(|at| at >= before) {
            return;
        }
        let recorded = self.store.touch_connection(&row.principal_id, &row.origin_uid, now.0, before).await;
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
        let client = match self.clients.of_connection(origin, connection) {
            Ok(client) => client,
            Err(error) => return Ok(RefreshOutcome::Failed(error.into())),
        };
        let http = match http_client(&self.http, origin) {
            Ok(http) => http,
            Err(error) => return Ok(RefreshOutcome::Failed(error.into())),
        };
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", connection.tokens.refresh.as_ref().map_or("", |token| token.as_str())),
            ("resource", connection.row.resource.as_str()),
        ];
        match token::request_token(&http, &connection.token_endpoint, &client, &form).await {
            Ok(response) => self.store_refreshed(who, origin, connection, &response).await,
            Err(TokenRequestError::Unavailable(error)) => Ok(RefreshOutcome::Failed(error.into())),
            Err(error) => self.end_rejected(who, origin, connection, client.registration, error).await,
        }
    }

    /// Handles a rejected refresh token. The connection ends if another request would be rejected too.
    async fn end_rejected(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        connection: &Connection,
        registration: RegistrationMethod,
        error: TokenRequestError,
    ) -> Result<RefreshOutcome, CredentialError> {
        let is_configured = registration == RegistrationMethod::Configured;
        if error.is_invalid_client() && is_configured || !is_final(&error) {
            return Ok(RefreshOutcome::Failed(RefreshError::ClientRejected(error)));
        }
        let row = &connection.row;
        if error.is_invalid_client() {
            // The registration is gone, and the grant with it. The next consent registers again.
            self.registry.remove(&row.origin_uid, &row.issuer, &row.client_id).await?;
        }
        let is_dead = self.mark_dead(who, origin, row, Failure::upstream("grant_dead", &error)).await?;
        Ok(if is_dead { RefreshOutcome::Dead } else { RefreshOutcome::Superseded })
    }

    /// Marks a connection as dead and records the event. `false` if the connection changed meanwhile.
    async fn mark_dead(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        row: &ConnectionRow,
        failure: Failure,
    ) -> Result<bool, CredentialError> {
        let marked = self.connections.mark_dead(who, origin, row).await?;
        if marked {
            self.audit.record(EventKind::UpstreamRefresh, who, None, origin, Some(failure)).await;
        }
        Ok(marked)
    }

    async fn store_refreshed(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        connection: &Connection,
        response: &TokenResponse,
    ) -> Result<RefreshOutcome, CredentialError> {
        let now = self.clock.now();
        let old = &connection.tokens;
        let mut tokens =
            Tokens::from_response(response, old.refresh.as_ref().map(|token| token.as_str()), None);
        tokens.client_secret.clone_from(&old.client_secret);
        let renewal = Renewal {
            sealed: self.connections.seal(&tokens, &connection.row)?,
            scope: response.scope.clone().unwrap_or_else(|| connection.row.scope.clone()),
            issued_at: now.0,
            expires_at: response.lifetime.map(|seconds| now.after_seconds(seconds).0),
            revision: self.random.token()?,
        };
        let write = || self.store.renew_connection(&connection.row, &renewal);
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
        let Some(renewed) = self.connections.open(row) else {
            return Ok(RefreshOutcome::Superseded);
        };
        let credential = self.cache.insert_connection(who, origin, &renewed, renewed.refresh_at());
        Ok(RefreshOutcome::Done(credential))
    }
}

/// Delays between checks of another replica's lease.
fn lease_poll_delays() -> impl Iterator<Item = Duration> {
    let doubled = |delay: &Duration| Some((*delay * 2).min(MAX_LEASE_POLL_DELAY));
    std::iter::successors(Some(MIN_LEASE_POLL_DELAY), doubled).take(MAX_LEASE_POLLS)
}

/// Whether the same refresh token would be rejected again. `bad_refresh_token` is GitHub's name for
/// `invalid_grant`.
fn is_final(error: &TokenRequestError) -> bool {
    let TokenRequestError::Refused { code, .. } = error else { return false };
    matches!(
        code.as_str(),
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
        let delays: Vec<_> = lease_poll_delays().collect();
        assert_eq!(delays[..4], [100, 200, 400, 800].map(Duration::from_millis));
        assert!(delays.iter().all(|delay| *delay <= MAX_LEASE_POLL_DELAY));
        assert!(delays.iter().sum::<Duration>() > LEASE_DURATION);
    }
}
