//! Obtains credentials that are not in memory, and renews those that are about to expire. In this process
//! one task at a time does so for a person and origin.

use std::sync::Arc;

use http::HeaderValue;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_policy::{CredentialSubject, Origin, PrincipalId};

use crate::client_credentials::ClientCredentials;
use crate::credential_cache::{CachedCredential, CredentialCache, RETRY_DELAY};
use crate::exchange::TokenExchanger;
use crate::refresh::TokenRefresher;
use crate::{BrokerDependencies, Credential, CredentialError};

/// Obtains credentials from the cache, the store, or the authorization server.
pub(crate) struct CredentialLoader {
    clock: Clock,
    cache: Arc<CredentialCache>,
    refresher: TokenRefresher,
    exchanger: TokenExchanger,
    client_credentials: ClientCredentials,
}

impl CredentialLoader {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        cache: &Arc<CredentialCache>,
        refresher: TokenRefresher,
        exchanger: TokenExchanger,
        client_credentials: ClientCredentials,
    ) -> Self {
        let (clock, cache) = (dependencies.clock.clone(), Arc::clone(cache));
        Self { clock, cache, refresher, exchanger, client_credentials }
    }

    /// Returns the cached credential while it is valid, otherwise another one.
    pub(crate) async fn credential(
        self: &Arc<Self>,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Credential, CredentialError> {
        let now = self.clock.now();
        let Some(cached) = self.cache.get(who, origin).filter(|cached| cached.is_for(origin)) else {
            return self.load(who, origin, None).await;
        };
        if now < cached.revisit_at && cached.is_valid(now) {
            return Ok(cached.credential());
        }
        if cached.is_about_to_expire(now) {
            return self.load(who, origin, None).await;
        }
        // Valid for a while: refresh in the background instead of delaying this call.
        if cached.claim_revisit() {
            let (loader, who, origin) = (Arc::clone(self), who.clone(), Arc::clone(origin));
            let claimed = Arc::clone(&cached);
            tokio::spawn(async move {
                loader.load(&who, &origin, None).await.ok();
                claimed.end_revisit();
            });
        }
        Ok(cached.credential())
    }

    /// Obtains a credential other than `rejected` from the store or the authorization server. Continues when
    /// the caller goes away: new tokens that are not stored would cost the person their connection.
    pub(crate) async fn load(
        self: &Arc<Self>,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        rejected: Option<Arc<HeaderValue>>,
    ) -> Result<Credential, CredentialError> {
        let (loader, who, origin) = (Arc::clone(self), who.clone(), Arc::clone(origin));
        let task =
            tokio::spawn(async move { loader.load_exclusively(&who, &origin, rejected.as_deref()).await });
        task.await.unwrap_or_else(|error| Err(CredentialError::unavailable(error)))
    }

    async fn load_exclusively(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        rejected: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        let waiting_since = self.clock.now();
        let state = self.cache.refresh_state(who, &origin.uid);
        let mut state = state.lock().await;
        let now = self.clock.now();
        let cached = self.cache.get(who, origin).filter(|cached| {
            cached.is_for(origin) && cached.is_valid(now) && Some(&*cached.header) != rejected
        });
        if let Some(cached) = &cached
            && now < cached.revisit_at
        {
            return Ok(cached.credential());
        }
        // These modes need no consent, so only this limit protects the authorization server from repeated
        // requests.
        let is_automatic =
            matches!(origin.credential_subject(), CredentialSubject::Gateway | CredentialSubject::SignIn);
        if let Some(error) = state.repeated_error(origin, waiting_since, is_automatic.then_some(now)) {
            return Err(error);
        }
        if is_automatic && rejected.is_some() && !state.may_replace(now) {
            return Err(CredentialError::Rejected);
        }
        let loaded = self.load_by_subject(who, origin, rejected).await;
        state.record_result(&loaded, origin, self.clock.now());
        match loaded {
            Err(CredentialError::Unavailable(error)) => match cached {
                Some(cached) => {
                    tracing::warn!(origin = %origin.name, problem = %error, "failed to load a connection; using its cached token");
                    Ok(self.keep_cached(who, origin, &cached, now))
                }
                None => Err(CredentialError::Unavailable(error)),
            },
            Err(error) => {
                self.cache.invalidate(who, &origin.uid);
                Err(error)
            }
            Ok(credential) => Ok(credential),
        }
    }

    async fn load_by_subject(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        rejected: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        match origin.credential_subject() {
            CredentialSubject::Gateway => self.client_credentials.token(who, origin).await,
            CredentialSubject::SignIn => self.exchanger.load_or_exchange(who, origin, rejected).await,
            CredentialSubject::None | CredentialSubject::SharedAccount | CredentialSubject::Person => {
                self.refresher.load_or_refresh(who, origin, rejected).await
            }
        }
    }

    /// Keeps a credential that is still valid until the next attempt.
    fn keep_cached(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        cached: &CachedCredential,
        now: UnixMillis,
    ) -> Credential {
        self.cache.insert(who, origin, &cached.header, now.after(RETRY_DELAY), cached.expires_at);
        cached.credential()
    }
}
