//! Caches fetched key sets, separately for strangers' hosts and configured ones.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_egress::{HttpClients, HttpResponse, cache_lifetime};

use crate::fetch::Fetcher;
use crate::{FetchBudget, JwkSet, JwksEndpoint, JwtError, JwtVerifier};

/// Maximum size of all cached key sets of one budget, in bytes as they were fetched.
const MAX_CACHED_BYTES: u64 = 8 * 1024 * 1024;
/// What a cached key set counts at least, in bytes.
const MIN_SET_WEIGHT: u32 = 2 * 1024;
/// Minimum time between fetches that unknown keys cause.
const MIN_REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// A fetched key set.
pub(crate) struct CachedJwks {
    pub(crate) keys: JwkSet,
    fetched_at: UnixMillis,
    expires_at: UnixMillis,
    len: u32,
}

/// The fetches and the cached key sets of one budget.
struct Budget {
    fetcher: Fetcher,
    sets: Cache<JwksEndpoint, Arc<CachedJwks>>,
}

impl Budget {
    fn new(budget: FetchBudget, http: HttpClients, clock: Clock) -> Self {
        let sets = Cache::builder()
            .weigher(|_, set: &Arc<CachedJwks>| set.len.max(MIN_SET_WEIGHT))
            .max_capacity(MAX_CACHED_BYTES)
            .build();
        Self { fetcher: Fetcher::new(budget, http, clock), sets }
    }
}

/// Cache of fetched key sets.
pub(crate) struct JwksCache {
    configured: Budget,
    strangers: Budget,
}

impl JwksCache {
    pub(crate) fn new(http: HttpClients, clock: Clock) -> Self {
        let configured = Budget::new(FetchBudget::Configured, http.clone(), clock.clone());
        Self { configured, strangers: Budget::new(FetchBudget::Stranger, http, clock) }
    }

    const fn budget(&self, place: &JwksEndpoint) -> &Budget {
        match place.budget {
            FetchBudget::Configured => &self.configured,
            FetchBudget::Stranger => &self.strangers,
        }
    }
}

impl JwtVerifier {
    /// The keys at an address, fetched if they are not cached.
    pub(crate) async fn cached_keys(&self, place: &JwksEndpoint) -> Result<Arc<CachedJwks>, JwtError> {
        let now = self.clock.now();
        match self.jwks_cache.budget(place).sets.get(place).filter(|fetched| now < fetched.expires_at) {
            Some(fetched) => Ok(fetched),
            None => self.fetch_keys(place).await,
        }
    }

    /// Fetches the keys at an address again. `None` if `than` was fetched only a moment ago.
    pub(crate) async fn refetch_keys(
        &self,
        place: &JwksEndpoint,
        than: &CachedJwks,
    ) -> Result<Option<Arc<CachedJwks>>, JwtError> {
        if self.clock.now().since(than.fetched_at) < MIN_REFETCH_INTERVAL {
            return Ok(None);
        }
        self.fetch_keys(place).await.map(Some)
    }

    async fn fetch_keys(&self, place: &JwksEndpoint) -> Result<Arc<CachedJwks>, JwtError> {
        let answer = self.fetch_json(place).await?;
        let document = portcullis_egress::parse_json_object(&answer.body)
            .map_err(|error| JwtError::KeysUnusable(error.into()))?;
        let keys = JwkSet::read(&document).map_err(|error| JwtError::KeysUnusable(error.into()))?;
        let now = self.clock.now();
        let fetched = Arc::new(CachedJwks {
            keys,
            fetched_at: now,
            expires_at: now.after(cache_lifetime(&answer.headers)),
            len: u32::try_from(answer.body.len()).unwrap_or(u32::MAX),
        });
        self.jwks_cache.budget(place).sets.insert(place.clone(), Arc::clone(&fetched));
        Ok(fetched)
    }

    /// Fetches a JSON document, for example a key set. Concurrent callers share one request.
    ///
    /// # Errors
    /// If the request fails, failed a moment ago, or too many are in progress.
    pub async fn fetch_json(&self, place: &JwksEndpoint) -> Result<Arc<HttpResponse>, JwtError> {
        let fetched = self.jwks_cache.budget(place).fetcher.fetch(place).await;
        fetched.map_err(|error| JwtError::KeysUnavailable(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::Store;
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::testing::Signer;

    #[tokio::test]
    async fn given_keys_that_were_fetched_when_their_time_is_over_then_they_are_not_used_any_more() {
        let clock = Clock::manual(UnixMillis(1_790_000_000_000));
        let verifier = JwtVerifier::new(HttpClients::new(), Store::in_memory().await.unwrap(), clock.clone());
        // The gateway never calls this address, so only the cached keys are used.
        let url = Url::parse("https://127.0.0.1:9/keys").unwrap();
        let place = JwksEndpoint {
            url,
            private_networks: Vec::new(),
            ca_bundle_pem: None,
            budget: FetchBudget::Configured,
        };
        let keys = JwkSet::read(&json!({"keys": [Signer::ed25519().jwk(&json!({}))]})).unwrap();
        let fetched =
            CachedJwks { keys, fetched_at: clock.now(), expires_at: clock.now().after_seconds(60), len: 0 };
        verifier.jwks_cache.configured.sets.insert(place.clone(), Arc::new(fetched));
        clock.advance(Duration::from_millis(59_999));
        assert!(verifier.cached_keys(&place).await.is_ok());
        clock.advance(Duration::from_millis(1));
        assert!(matches!(verifier.cached_keys(&place).await, Err(JwtError::KeysUnavailable(_))));
    }
}
