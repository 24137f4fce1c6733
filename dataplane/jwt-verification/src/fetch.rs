//! Fetches JSON documents about keys. Strangers name some of the addresses: any client may register one. These
//! have limits of their own, so they cannot delay identity providers and configured workloads.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::ACCEPT;
use ipnet::IpNet;
use moka::sync::Cache;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_egress::{HttpClients, HttpResponse};
use portcullis_rate_limit::{FetchLimits, FetchPool, RateLimit, SingleFlight, client_network};
use url::Url;

/// Maximum size of a document, in bytes.
const MAX_DOCUMENT_LEN: usize = 64 * 1024;
/// Maximum number of remembered failures.
const MAX_FAILURES: u64 = 2_000;
/// Fetches from strangers' hosts per client address: burst, and rate per second.
const STRANGERS_RATE_PER_ADDRESS: (u32, u32) = (60, 1);
/// The same for all addresses together.
const STRANGERS_TOTAL_RATE: (u32, u32) = (240, 4);

/// Who named an address. Each has its own slots, rates and caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchBudget {
    /// The gateway's settings: an identity provider, or a workload.
    Configured,
    /// A client that nobody verified: in its registration or its metadata document.
    Stranger,
}

/// Address of a key set, and how it may be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwksEndpoint {
    /// URL of the key set.
    pub url: Url,
    /// Private networks in which the address may be.
    pub private_networks: Vec<IpNet>,
    /// Extra trust anchors, PEM.
    pub ca_bundle_pem: Option<String>,
    /// Who named the address.
    pub budget: FetchBudget,
}

/// Why a document was not fetched. Shared by all callers that waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FetchError(Arc<str>);

impl FetchError {
    fn new(error: &impl ToString) -> Self {
        Self(error.to_string().into())
    }
}

type Fetched = Result<Arc<HttpResponse>, FetchError>;

/// The fetches of one budget: one at a time per host, a few per client, and concurrent callers share one.
pub(crate) struct Fetcher {
    http: HttpClients,
    clock: Clock,
    pool: Arc<FetchPool>,
    running: SingleFlight<JwksEndpoint, Fetched>,
    /// Only for strangers. The hosts in the settings are few, and failures are remembered.
    rate_limit: Option<RateLimit>,
    failures: Cache<JwksEndpoint, (FetchError, UnixMillis)>,
    failure_ttl: Duration,
    timeout: Duration,
}

impl Fetcher {
    pub(crate) fn new(budget: FetchBudget, http: HttpClients, clock: Clock) -> Self {
        let (limits, failure_ttl, timeout) = match budget {
            FetchBudget::Configured => (
                FetchLimits {
                    concurrent: 32,
                    per_client: 32,
                    waiting: 64,
                    max_wait: Duration::from_secs(10),
                },
                Duration::from_secs(1),
                Duration::from_secs(10),
            ),
            FetchBudget::Stranger => (
                FetchLimits { concurrent: 16, per_client: 4, waiting: 16, max_wait: Duration::from_secs(5) },
                Duration::from_secs(30),
                Duration::from_secs(5),
            ),
        };
        let rate_limit = (budget == FetchBudget::Stranger)
            .then(|| RateLimit::new(STRANGERS_RATE_PER_ADDRESS, STRANGERS_TOTAL_RATE));
        Self {
            http,
            clock,
            pool: Arc::new(FetchPool::new(limits)),
            running: SingleFlight::new(),
            rate_limit,
            failures: Cache::new(MAX_FAILURES),
            failure_ttl,
            timeout,
        }
    }

    /// Fetches a document, or joins a fetch that is in progress. After a failure nothing is sent for a while.
    pub(crate) async fn fetch(&self, place: &JwksEndpoint) -> Fetched {
        let now = self.clock.now();
        if let Some((error, _)) = self.failures.get(place).filter(|(_, until)| now < *until) {
            return Err(error);
        }
        let fetched = self.running.run(place.clone(), || self.start(place)).await;
        if let Err(error) = &fetched {
            let until = self.clock.now().after(self.failure_ttl);
            self.failures.insert(place.clone(), (error.clone(), until));
        }
        fetched
    }

    fn start(&self, place: &JwksEndpoint) -> BoxFuture<'static, Fetched> {
        if self.rate_limit.as_ref().is_some_and(|limit| !limit.take(self.clock.now())) {
            return async { Err(FetchError::new(&"too many key sets are being fetched; try again shortly")) }
                .boxed();
        }
        let (http, pool, place, timeout) =
            (self.http.clone(), Arc::clone(&self.pool), place.clone(), self.timeout);
        let client = client_network();
        async move {
            let host = place.url.host_str().unwrap_or_default();
            let _slot = pool.enter(host, client).await.map_err(|error| FetchError::new(&error))?;
            let http = http
                .http(&place.private_networks, place.ca_bundle_pem.as_deref())
                .map_err(|error| FetchError::new(&error))?;
            let request = http.get(place.url.clone()).header(ACCEPT, "application/json").timeout(timeout);
            let answer =
                http.send(request, MAX_DOCUMENT_LEN).await.map_err(|error| FetchError::new(&error))?;
            match answer.status.as_u16() {
                200 => Ok(Arc::new(answer)),
                status => Err(FetchError::new(&format!("the server answered with status {status}"))),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

    /// Serves a document at a loopback address after a delay, or never. Returns its URL.
    async fn server(address: &str, delay: Option<Duration>, requests: &Arc<AtomicUsize>) -> Url {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::clone(requests);
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                requests.fetch_add(1, Ordering::SeqCst);
                let Some(delay) = delay else {
                    held.push(connection);
                    continue;
                };
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let read = connection.read(&mut request).await.unwrap();
                    assert!(read > 0);
                    tokio::time::sleep(delay).await;
                    connection.write_all(RESPONSE).await.ok();
                });
            }
        });
        url
    }

    fn place(url: Url, budget: FetchBudget) -> JwksEndpoint {
        let private_networks = vec!["127.0.0.0/8".parse().unwrap()];
        JwksEndpoint { url, private_networks, ca_bundle_pem: None, budget }
    }

    fn fetcher(budget: FetchBudget, clock: &Clock) -> Arc<Fetcher> {
        Arc::new(Fetcher::new(budget, HttpClients::new(), clock.clone()))
    }

    fn clock() -> Clock {
        Clock::manual(UnixMillis(1_790_000_000_000))
    }

    #[tokio::test]
    async fn given_strangers_slow_hosts_when_a_provider_is_asked_then_it_does_not_wait_for_them() {
        let (count, clock) = (Arc::default(), clock());
        let verifier = Arc::new(crate::JwtVerifier::new(
            HttpClients::new(),
            portcullis_store::Store::in_memory().await.unwrap(),
            clock.clone(),
        ));
        for host in 10..42 {
            let slow = place(server(&format!("127.0.0.{host}"), None, &count).await, FetchBudget::Stranger);
            let verifier = Arc::clone(&verifier);
            let client = std::net::IpAddr::from([192, 0, 2, host]);
            tokio::spawn(portcullis_rate_limit::with_client_address(client, async move {
                verifier.fetch_json(&slow).await.map(drop)
            }));
        }
        while count.load(Ordering::SeqCst) < 16 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let good = server("127.0.0.1", Some(Duration::ZERO), &Arc::default()).await;
        let place = place(good, FetchBudget::Configured);
        let asked = verifier.fetch_json(&place);
        let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
        assert_eq!(answer.unwrap().unwrap().body, "{}");
        assert_eq!(count.load(Ordering::SeqCst), 16, "more wait for their turn");
    }

    #[tokio::test]
    async fn given_many_callers_at_once_then_the_document_is_fetched_once() {
        let (count, fetcher) = (Arc::default(), fetcher(FetchBudget::Configured, &clock()));
        let url = server("127.0.0.1", Some(Duration::from_millis(100)), &count).await;
        let place = place(url, FetchBudget::Configured);
        let callers = (0..50).map(|_| fetcher.fetch(&place));
        for fetched in futures_util::future::join_all(callers).await {
            assert_eq!(fetched.unwrap().body, "{}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn given_two_documents_of_one_host_then_they_are_fetched_one_after_the_other() {
        let (count, fetcher) = (Arc::default(), fetcher(FetchBudget::Stranger, &clock()));
        let url = server("127.0.0.1", Some(Duration::from_millis(300)), &count).await;
        let (mut one, mut other) = (url.clone(), url);
        one.set_path("/one");
        other.set_path("/other");
        let (one, other) = (place(one, FetchBudget::Stranger), place(other, FetchBudget::Stranger));
        let watched = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            count.load(Ordering::SeqCst)
        };
        let (first, second, at_once) = tokio::join!(fetcher.fetch(&one), fetcher.fetch(&other), watched);
        assert!(first.is_ok() && second.is_ok(), "the second one waited instead of failing");
        assert_eq!((at_once, count.load(Ordering::SeqCst)), (1, 2));
    }

    #[tokio::test]
    async fn given_a_host_that_failed_when_it_is_named_again_then_it_is_not_asked_for_a_while() {
        for (budget, pause) in [(FetchBudget::Stranger, 30), (FetchBudget::Configured, 1)] {
            let (clock, count) = (clock(), Arc::default());
            let fetcher = fetcher(budget, &clock);
            let url = server("127.0.0.1", Some(Duration::ZERO), &count).await;
            let not_permitted = JwksEndpoint { private_networks: Vec::new(), ..place(url, budget) };
            assert!(fetcher.fetch(&not_permitted).await.is_err());
            clock.advance(Duration::from_millis(1_000 * pause - 1));
            assert!(fetcher.failures.get(&not_permitted).is_some_and(|(_, until)| clock.now() < until));
            assert!(fetcher.fetch(&not_permitted).await.is_err());
            clock.advance(Duration::from_millis(1));
            assert!(fetcher.failures.get(&not_permitted).is_some_and(|(_, until)| clock.now() >= until));
            assert_eq!(count.load(Ordering::SeqCst), 0);
        }
    }
}
