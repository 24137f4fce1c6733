//! Key sets at an address. Anybody may register one, so what fetching them can cost is bounded.

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use ipnet::IpNet;
use moka::sync::Cache;
use portcullis_ambient::{Instant, Limit};
use portcullis_outbound::{Answer, lifetime};
use tokio::sync::Semaphore;
use url::Url;

use crate::{AssertionError, KeySet, Verifier};

/// Largest key set, in bytes.
const LIMIT: usize = 64 * 1024;
/// How many are remembered.
const SETS: u64 = 2_000;
/// How many are fetched at a time.
const AT_ONCE: usize = 16;
/// How many may be fetched for one address in a burst, and each second after it.
const FETCHES: (u32, u32) = (60, 1);
/// For all addresses together.
const ALL_FETCHES: (u32, u32) = (240, 4);
/// A key that nobody knows makes us look again, but not more often than this.
const LOOKED_AGAIN: Duration = Duration::from_secs(10);

/// An address of keys, and how it may be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Where the keys are.
    pub url: Url,
    /// Networks beyond the public internet in which that may be.
    pub private_networks: Vec<IpNet>,
    /// Extra trust anchors, PEM.
    pub ca_bundle_pem: Option<String>,
}

/// Keys as they were when they were fetched.
pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    at: Instant,
    until: Instant,
}

/// Key sets that were fetched. Failures are never remembered.
pub(crate) struct RemoteKeys {
    known: Cache<Place, Arc<Fetched>>,
    fetching: Semaphore,
    fetches: Limit,
}

impl RemoteKeys {
    pub(crate) fn new() -> Self {
        Self {
            known: Cache::new(SETS),
            fetching: Semaphore::new(AT_ONCE),
            fetches: Limit::new(FETCHES, ALL_FETCHES),
        }
    }
}

impl Verifier {
    /// The keys at an address, fetched unless they are remembered.
    pub(crate) async fn keys_at(&self, place: &Place) -> Result<Arc<Fetched>, AssertionError> {
        let now = self.clock.now();
        match self.remote.known.get(place).filter(|fetched| now < fetched.until) {
            Some(fetched) => Ok(fetched),
            None => self.fetch_keys(place).await,
        }
    }

    /// The keys at an address as they are now, unless these are as good as new.
    pub(crate) async fn newer_keys_at(
        &self,
        place: &Place,
        than: &Fetched,
    ) -> Result<Option<Arc<Fetched>>, AssertionError> {
        if self.clock.now().since(than.at) < LOOKED_AGAIN {
            return Ok(None);
        }
        self.fetch_keys(place).await.map(Some)
    }

    async fn fetch_keys(&self, place: &Place) -> Result<Arc<Fetched>, AssertionError> {
        let answer = self.fetch_json(place).await?;
        let unusable = |problem: String| AssertionError::KeysUnusable(problem);
        let document =
            portcullis_outbound::read_json(&answer.body).map_err(|error| unusable(error.to_string()))?;
        let keys = KeySet::read(&document).map_err(|error| unusable(error.to_string()))?;
        let now = self.clock.now();
        let fetched = Arc::new(Fetched { keys, at: now, until: now.after(lifetime(&answer.headers)) });
        self.remote.known.insert(place.clone(), Arc::clone(&fetched));
        Ok(fetched)
    }

    /// Fetches a document that says something about keys.
    ///
    /// # Errors
    /// When its address does not answer with one, or too many are asked for at a time.
    pub async fn fetch_json(&self, place: &Place) -> Result<Answer, AssertionError> {
        let away = |problem: String| AssertionError::KeysAway(problem);
        let busy = || away("too many key sets are being fetched; try again shortly".to_owned());
        let _turn = self.remote.fetching.try_acquire().map_err(|_| busy())?;
        if !self.remote.fetches.take(self.clock.now()) {
            return Err(busy());
        }
        let http = self
            .http
            .http(&place.private_networks, place.ca_bundle_pem.as_deref())
            .map_err(|error| away(error.to_string()))?;
        let request = http.get(place.url.clone()).header(ACCEPT, "application/json");
        let answer = http.send(request, LIMIT).await.map_err(|error| away(error.to_string()))?;
        match answer.status.as_u16() {
            200 => Ok(answer),
            status => Err(away(format!("their address answered with status {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_ambient::Clock;
    use portcullis_outbound::Clients;
    use portcullis_store::Store;
    use serde_json::json;

    use super::*;
    use crate::testing::Signer;

    #[tokio::test]
    async fn given_keys_that_were_fetched_when_their_time_is_over_then_they_are_not_used_any_more() {
        let clock = Clock::manual(Instant(1_790_000_000_000));
        let verifier = Verifier::new(Clients::new(), Store::in_memory().await.unwrap(), clock.clone());
        // An address that the gateway does not call, so that what it has is what was put there.
        let url = Url::parse("https://127.0.0.1:9/keys").unwrap();
        let place = Place { url, private_networks: Vec::new(), ca_bundle_pem: None };
        let keys = KeySet::read(&json!({"keys": [Signer::ed25519().jwk(&json!({}))]})).unwrap();
        let fetched = Fetched { keys, at: clock.now(), until: clock.now().after_seconds(60) };
        verifier.remote.known.insert(place.clone(), Arc::new(fetched));
        clock.advance(Duration::from_millis(59_999));
        assert!(verifier.keys_at(&place).await.is_ok());
        clock.advance(Duration::from_millis(1));
        assert!(matches!(verifier.keys_at(&place).await, Err(AssertionError::KeysAway(_))));
    }
}
