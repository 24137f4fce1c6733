//! Fetches and caches key sets. Any client may register an address of a key set, so the cost of fetching is
//! bounded.

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use ipnet::IpNet;
use moka::sync::Cache;
use portcullis_clock::UnixMillis;
use portcullis_egress::{EgressError, HttpResponse, cache_lifetime};
use portcullis_rate_limit::RateLimit;
use tokio::sync::Semaphore;
use url::Url;

use crate::{JwkSet, JwtError, JwtVerifier};

/// Maximum size of a key set, in bytes.
const MAX_KEY_SET_LEN: usize = 64 * 1024;
/// Maximum number of cached key sets.
const MAX_CACHED_SETS: u64 = 2_000;
/// Maximum number of concurrent fetches.
const MAX_CONCURRENT_FETCHES: usize = 16;
/// Fetches per address: burst, and rate per second.
const FETCH_RATE_PER_ADDRESS: (u32, u32) = (60, 1);
/// Fetches of all addresses: burst, and rate per second.
const TOTAL_FETCH_RATE: (u32, u32) = (240, 4);
/// Minimum time between fetches that unknown keys cause.
const MIN_REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// Address of a key set, and how it may be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwksEndpoint {
    /// URL of the key set.
    pub url: Url,
    /// Private networks in which the address may be.
    pub private_networks: Vec<IpNet>,
    /// Extra trust anchors, PEM.
    pub ca_bundle_pem: Option<String>,
}

/// A fetched key set.
pub(crate) struct CachedJwks {
    pub(crate) keys: JwkSet,
    fetched_at: UnixMillis,
    expires_at: UnixMillis,
}

/// Cache of fetched key sets. Failures are not cached.
pub(crate) struct JwksCache {
    sets: Cache<JwksEndpoint, Arc<CachedJwks>>,
    fetch_slots: Semaphore,
    rate_limit: RateLimit,
}

/// Why a document was not fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("too many key sets are being fetched; try again shortly")]
    Busy,
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("the server answered with status {0}")]
    Status(u16),
}

impl JwksCache {
    pub(crate) fn new() -> Self {
        Self {
            sets: Cache::new(MAX_CACHED_SETS),
            fetch_slots: Semaphore::new(MAX_CONCURRENT_FETCHES),
            rate_limit: RateLimit::new(FETCH_RATE_PER_ADDRESS, TOTAL_FETCH_RATE),
        }
    }
}

impl JwtVerifier {
    /// The keys at an address, fetched if they are not cached.
    pub(crate) async fn cached_keys(&self, place: &JwksEndpoint) -> Result<Arc<CachedJwks>, JwtError> {
        let now = self.clock.now();
        match self.jwks_cache.sets.get(place).filter(|fetched| now < fetched.expires_at) {
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
        });
        self.jwks_cache.sets.insert(place.clone(), Arc::clone(&fetched));
        Ok(fetched)
    }

    /// Fetches a JSON document, for example a key set.
    ///
    /// # Errors
    /// If the request fails, or too many are in progress.
    pub async fn fetch_json(&self, place: &JwksEndpoint) -> Result<HttpResponse, JwtError> {
        let unavailable = |error: FetchError| JwtError::KeysUnavailable(error.into());
        let busy = || unavailable(FetchError::Busy);
        let _turn = self.jwks_cache.fetch_slots.try_acquire().map_err(|_| busy())?;
        if !self.jwks_cache.rate_limit.take(self.clock.now()) {
            return Err(busy());
        }
        let http = self
            .http
            .http(&place.private_networks, place.ca_bundle_pem.as_deref())
            .map_err(|error| unavailable(error.into()))?;
        let request = http.get(place.url.clone()).header(ACCEPT, "application/json");
        let answer = http.send(request, MAX_KEY_SET_LEN).await.map_err(|error| unavailable(error.into()))?;
        match answer.status.as_u16() {
            200 => Ok(answer),
            status => Err(unavailable(FetchError::Status(status))),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_clock::Clock;
    use portcullis_egress::HttpClients;
    use portcullis_store::Store;
    use serde_json::json;

    use super::*;
    use crate::testing::Signer;

    #[tokio::test]
    async fn given_keys_that_were_fetched_when_their_time_is_over_then_they_are_not_used_any_more() {
        let clock = Clock::manual(UnixMillis(1_790_000_000_000));
        let verifier = JwtVerifier::new(HttpClients::new(), Store::in_memory().await.unwrap(), clock.clone());
        // The gateway never calls this address, so only the cached keys are used.
        let url = Url::parse("https://127.0.0.1:9/keys").unwrap();
        let place = JwksEndpoint { url, private_networks: Vec::new(), ca_bundle_pem: None };
        let keys = JwkSet::read(&json!({"keys": [Signer::ed25519().jwk(&json!({}))]})).unwrap();
        let fetched = CachedJwks { keys, fetched_at: clock.now(), expires_at: clock.now().after_seconds(60) };
        verifier.jwks_cache.sets.insert(place.clone(), Arc::new(fetched));
        clock.advance(Duration::from_millis(59_999));
        assert!(verifier.cached_keys(&place).await.is_ok());
        clock.advance(Duration::from_millis(1));
        assert!(matches!(verifier.cached_keys(&place).await, Err(JwtError::KeysUnavailable(_))));
    }
}
