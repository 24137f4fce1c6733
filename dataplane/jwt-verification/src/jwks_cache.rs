//! Key sets at an address. Anybody may register one, so what fetching them can cost is bounded.

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use ipnet::IpNet;
use moka::sync::Cache;
use portcullis_clock::UnixMillis;
use portcullis_egress::{HttpResponse, cache_lifetime};
use portcullis_rate_limit::RateLimit;
use tokio::sync::Semaphore;
use url::Url;

use crate::{JwkSet, JwtError, JwtVerifier};

/// Largest key set, in bytes.
const MAX_KEY_SET_LEN: usize = 64 * 1024;
/// How many are remembered.
const MAX_CACHED_SETS: u64 = 2_000;
/// How many are fetched at a time.
const MAX_CONCURRENT_FETCHES: usize = 16;
/// How many may be fetched for one address in a burst, and each second after it.
const FETCH_RATE_PER_ADDRESS: (u32, u32) = (60, 1);
/// For all addresses together.
const TOTAL_FETCH_RATE: (u32, u32) = (240, 4);
/// A key that nobody knows makes us look again, but not more often than this.
const MIN_REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// An address of keys, and how it may be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwksEndpoint {
    /// Where the keys are.
    pub url: Url,
    /// Networks beyond the public internet in which that may be.
    pub private_networks: Vec<IpNet>,
    /// Extra trust anchors, PEM.
    pub ca_bundle_pem: Option<String>,
}

/// Keys as they were when they were fetched.
pub(crate) struct CachedJwks {
    pub(crate) keys: JwkSet,
    fetched_at: UnixMillis,
    expires_at: UnixMillis,
}

/// Key sets that were fetched. Failures are never remembered.
pub(crate) struct JwksCache {
    sets: Cache<JwksEndpoint, Arc<CachedJwks>>,
    fetch_slots: Semaphore,
    rate_limit: RateLimit,
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
    /// The keys at an address, fetched unless they are remembered.
    pub(crate) async fn cached_keys(&self, place: &JwksEndpoint) -> Result<Arc<CachedJwks>, JwtError> {
        let now = self.clock.now();
        match self.jwks_cache.sets.get(place).filter(|fetched| now < fetched.expires_at) {
            Some(fetched) => Ok(fetched),
            None => self.fetch_keys(place).await,
        }
    }

    /// The keys at an address as they are now, unless these are as good as new.
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
        let unusable = |problem: String| JwtError::KeysUnusable(problem);
        let document = portcullis_egress::parse_json_object(&answer.body)
            .map_err(|error| unusable(error.to_string()))?;
        let keys = JwkSet::read(&document).map_err(|error| unusable(error.to_string()))?;
        let now = self.clock.now();
        let fetched = Arc::new(CachedJwks {
            keys,
            fetched_at: now,
            expires_at: now.after(cache_lifetime(&answer.headers)),
        });
        self.jwks_cache.sets.insert(place.clone(), Arc::clone(&fetched));
        Ok(fetched)
    }

    /// Fetches a document that says something about keys.
    ///
    /// # Errors
    /// When its address does not answer with one, or too many are asked for at a time.
    pub async fn fetch_json(&self, place: &JwksEndpoint) -> Result<HttpResponse, JwtError> {
        let away = |problem: String| JwtError::KeysUnavailable(problem);
        let busy = || away("too many key sets are being fetched; try again shortly".to_owned());
        let _turn = self.jwks_cache.fetch_slots.try_acquire().map_err(|_| busy())?;
        if !self.jwks_cache.rate_limit.take(self.clock.now()) {
            return Err(busy());
        }
        let http = self
            .http
            .http(&place.private_networks, place.ca_bundle_pem.as_deref())
            .map_err(|error| away(error.to_string()))?;
        let request = http.get(place.url.clone()).header(ACCEPT, "application/json");
        let answer = http.send(request, MAX_KEY_SET_LEN).await.map_err(|error| away(error.to_string()))?;
        match answer.status.as_u16() {
            200 => Ok(answer),
            status => Err(away(format!("their address answered with status {status}"))),
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
        // An address that the gateway does not call, so that what it has is what was put there.
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
