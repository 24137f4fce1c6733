//! Exchanges a person's identity token for a token of the origin, without consent at the origin.
//!
//! ```text
//! tokenExchange   identity token --RFC 8693--> authorization server -> access token
//! idJag           identity token --RFC 8693--> identity provider -> ID-JAG
//!                                --RFC 7523--> authorization server -> access token
//! ```
//!
//! The result is stored like a connection without a refresh token, so all replicas use the same token. When
//! it expires, the exchange is repeated.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use portcullis_clock::{Clock, Random};
use portcullis_events::EventKind;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{ConnectionRow, Store};

use crate::audit::AuditLog;
use crate::client::{ConfiguredClients, auth_method_name};
use crate::connection::{Tokens, exchange_fingerprint};
use crate::connection_store::ConnectionStore;
use crate::credential::UnsendableToken;
use crate::credential_cache::CredentialCache;
use crate::exchange_request::{ExchangeRequester, ExchangedToken};
use crate::{BrokerDependencies, Credential, CredentialError};

/// Lifetime of a token whose response states none.
const DEFAULT_LIFETIME_SECONDS: u64 = 3600;

/// Lease of a replica on an exchange that replaces an earlier token. Longer than the requests can take.
const LEASE_DURATION: Duration = Duration::from_secs(30);

/// When to try again if the exchange fails or another replica has the lease, while the old token is still
/// valid.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// How often, and how many times, a replica checks whether another has finished.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_LEASE_POLLS: u32 = 100;

#[derive(Debug, thiserror::Error)]
#[error("timed out waiting for another replica to exchange the token")]
struct LeaseTimeout;

/// Obtains and stores exchanged tokens.
pub(crate) struct TokenExchanger {
    store: Store,
    clock: Clock,
    random: Random,
    requester: ExchangeRequester,
    connections: Arc<ConnectionStore>,
    cache: Arc<CredentialCache>,
    audit: Arc<AuditLog>,
}

impl TokenExchanger {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        connections: &Arc<ConnectionStore>,
        cache: &Arc<CredentialCache>,
        clients: &Arc<ConfiguredClients>,
        audit: &Arc<AuditLog>,
    ) -> Self {
        Self {
            store: dependencies.store.clone(),
            clock: dependencies.clock.clone(),
            random: dependencies.random.clone(),
            requester: ExchangeRequester::new(dependencies, clients),
            connections: Arc::clone(connections),
            cache: Arc::clone(cache),
            audit: Arc::clone(audit),
        }
    }

    /// Returns the stored token while it is valid, otherwise another one. The caller holds the lock of `who`
    /// and `origin`.
    pub(crate) async fn load_or_exchange(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        rejected: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        for _ in 0..MAX_LEASE_POLLS {
            let before = match self.connections.load(who, origin).await {
                Ok(connection) => connection,
                Err(CredentialError::NotConnected(_)) => return self.exchange(who, origin).await,
                Err(error) => return Err(error),
            };
            let now = self.clock.now();
            let is_good = rejected != Some(&*before.header)
                && before.expires_at().is_none_or(|expires_at| now < expires_at);
            if is_good && before.refresh_at().is_none_or(|refresh_at| now < refresh_at) {
                return Ok(self.cache.insert_connection(who, origin, &before, before.refresh_at()));
            }
            let soon = Some(now.after(RETRY_DELAY));
            let until = now.after(LEASE_DURATION).0;
            if self.store.lease_connection(&before.row, now.0, until).await? {
                let exchanged = self.exchange(who, origin).await;
                if exchanged.is_err() {
                    self.store.release_connection(&before.row, until).await.ok();
                }
                return match exchanged {
                    Err(CredentialError::Unavailable(_)) if is_good => {
                        Ok(self.cache.insert_connection(who, origin, &before, soon))
                    }
                    exchanged => exchanged,
                };
            }
            if is_good {
                return Ok(self.cache.insert_connection(who, origin, &before, soon));
            }
            tokio::time::sleep(LEASE_POLL_INTERVAL).await;
        }
        Err(CredentialError::unavailable(LeaseTimeout))
    }

    async fn exchange(&self, who: &PrincipalId, origin: &Arc<Origin>) -> Result<Credential, CredentialError> {
        let error = match self.requester.exchange(who, origin).await {
            Ok(exchanged) => {
                let credential = self.store_exchanged(who, origin, exchanged).await?;
                self.audit.record(EventKind::UpstreamRefresh, who, None, origin, None).await;
                return Ok(credential);
            }
            Err(error) => error,
        };
        let failure = error.failure();
        let error = CredentialError::from(error);
        if !matches!(error, CredentialError::Unavailable(_)) {
            // A rejection also ends the token that was issued before.
            self.store.remove_connection(who.as_str(), &origin.uid, self.clock.now().0).await?;
        }
        self.audit.record(EventKind::UpstreamRefresh, who, None, origin, Some(failure)).await;
        Err(error)
    }

    async fn store_exchanged(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        exchanged: ExchangedToken,
    ) -> Result<Credential, CredentialError> {
        let ExchangedToken { target, client, mut response } = exchanged;
        let now = self.clock.now();
        // The exchange can always be repeated, so the refresh token is not kept.
        response.refresh = None;
        let mut row = ConnectionRow {
            principal_id: who.as_str().to_owned(),
            origin_uid: origin.uid.to_string(),
            origin_url: origin.url.to_string(),
            resource: target.resource,
            issuer: target.issuer,
            token_endpoint: target.token_endpoint.to_string(),
            revocation_endpoint: None,
            client_id: client.id,
            registration: exchange_fingerprint(&origin.auth),
            auth_method: auth_method_name(client.proof.method()).to_owned(),
            scope: response.scope.clone().unwrap_or(target.scope),
            sealed: String::new(),
            issued_at: now.0,
            expires_at: Some(now.after_seconds(response.lifetime.unwrap_or(DEFAULT_LIFETIME_SECONDS)).0),
            dead: 0,
            revision: self.random.token()?,
            leased_until: 0,
            connected_at: now.0,
            last_used_at: None,
        };
        row.sealed = self.connections.seal(&Tokens::from_response(&response, None, None), &row)?;
        self.store.put_connection(&row).await?;
        let credential = self.connections.publish_connected(who, origin, row);
        credential.ok_or_else(|| CredentialError::unavailable(UnsendableToken))
    }
}
