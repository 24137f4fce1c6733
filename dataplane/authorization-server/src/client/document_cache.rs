//! Fetches and caches client ID metadata documents.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::ACCEPT;
use moka::sync::Cache;
use portcullis_clock::{Clock, UnixMillis};
use portcullis_egress::{HttpClients, cache_lifetime};
use portcullis_events::{Event, EventKind, EventSink, FailureOrigin, Outcome};
use portcullis_policy::RouteTableHandle;
use portcullis_rate_limit::{FetchLimits, FetchPool, RateLimit, SingleFlight, client_network};
use url::Url;

use super::ClientError;
use super::document::{self, DocumentError, DocumentedClient};

/// Maximum size of a document, in bytes (draft, "Maximum Response Size").
const MAX_DOCUMENT_LEN: usize = 5 * 1024;
/// Maximum number of cached documents.
const MAX_CACHED_DOCUMENTS: u64 = 2_000;
/// Concurrent fetches. Limited because unauthenticated requests cause them. One slow host delays only its own
/// documents, and one client address can use a part of the slots.
const FETCH_LIMITS: FetchLimits =
    FetchLimits { concurrent: 16, per_client: 4, waiting: 16, max_wait: Duration::from_secs(5) };
/// Deadline of one fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Fetches per IP address of a client: burst, and rate per second.
const FETCH_LIMIT: (u32, u32) = (60, 1);
/// The same for all addresses together.
const TOTAL_FETCH_LIMIT: (u32, u32) = (240, 4);

/// The clients with a metadata document. Valid documents are cached, errors are not (draft, section 4.4:
/// error responses must not be cached). Concurrent requests for one document share a fetch.
pub(crate) struct MetadataDocuments {
    tables: RouteTableHandle,
    http: HttpClients,
    clock: Clock,
    events: EventSink,
    entries: Cache<Box<str>, (Arc<DocumentedClient>, UnixMillis)>,
    fetches: Arc<FetchPool>,
    running: SingleFlight<Url, Fetched>,
    fetch_limit: RateLimit,
}

/// A fetched document with the time for which it may be cached. Concurrent requests share it.
type Fetched = Result<(Arc<DocumentedClient>, Duration), Arc<DocumentError>>;

impl MetadataDocuments {
    pub(crate) fn new(tables: RouteTableHandle, http: HttpClients, clock: Clock, events: EventSink) -> Self {
        Self {
            tables,
            http,
            clock,
            events,
            entries: Cache::new(MAX_CACHED_DOCUMENTS),
            fetches: Arc::new(FetchPool::new(FETCH_LIMITS)),
            running: SingleFlight::new(),
            fetch_limit: RateLimit::new(FETCH_LIMIT, TOTAL_FETCH_LIMIT),
        }
    }

    /// The client of a document URL. If the document cannot be fetched, returns the cached one even if it has
    /// expired, so existing grants survive an outage of the client's host.
    pub(super) async fn client_or_cached(
        &self,
        client_id: &str,
    ) -> Result<Arc<DocumentedClient>, ClientError> {
        match self.client(client_id).await {
            Err(ClientError::DocumentUnavailable(problem)) => {
                self.cached(client_id).ok_or(ClientError::DocumentUnavailable(problem))
            }
            documented => documented,
        }
    }

    /// The client of a document URL. Records an event on failure.
    pub(super) async fn client(&self, client_id: &str) -> Result<Arc<DocumentedClient>, ClientError> {
        let client = self.load(client_id).await.map_err(ClientError::from);
        if let Err(ClientError::Document(problem) | ClientError::DocumentUnavailable(problem)) = &client {
            let mut event = Event::new(self.clock.now(), EventKind::ClientRegistered, Outcome::ClientError);
            event.client_id = Some(client_id.chars().take(256).collect::<String>().into());
            event.failure_origin = Some(FailureOrigin::Client);
            event.reason = Some("client_document");
            event.message = Some(problem.to_string().into());
            self.events.record(event);
        }
        client
    }

    async fn load(&self, client_id: &str) -> Result<Arc<DocumentedClient>, Arc<DocumentError>> {
        // Check before using the cache: the settings may have changed.
        let table = self.tables.current().ok_or(DocumentError::NotReady)?;
        let url = document::check_url(client_id, &table)?;
        if let Some(client) = self.fresh(client_id, self.clock.now()) {
            return Ok(client);
        }
        let (documented, lifetime) = self.running.run(url.clone(), || self.start(url)).await?;
        let client = &documented.client;
        let now = self.clock.now();
        let until = now.after(lifetime);
        self.entries.insert(client_id.into(), (Arc::clone(&documented), until));
        let mut event = Event::new(now, EventKind::ClientRegistered, Outcome::Success);
        event.gateway = Some(Arc::clone(&table.gateway.name));
        event.client_id = Some(client.id.as_str().into());
        event.client_name = Some(client.name.as_str().into());
        event.reason = Some("client_document");
        self.events.record(event);
        Ok(documented)
    }

    /// Starts to fetch a document. Its URL is the client's id.
    fn start(&self, url: Url) -> BoxFuture<'static, Fetched> {
        if !self.fetch_limit.take(self.clock.now()) {
            return async { Err(DocumentError::Busy.into()) }.boxed();
        }
        let (http, fetches, client) = (self.http.clone(), Arc::clone(&self.fetches), client_network());
        async move {
            let host = url.host_str().unwrap_or_default();
            let _slot = fetches.enter(host, client).await.map_err(|_| DocumentError::Busy)?;
            // Public addresses only, even if origins may be in private networks.
            let http = http.http(&[], None).map_err(DocumentError::Fetch)?;
            let request = http.get(url.clone()).header(ACCEPT, "application/json").timeout(FETCH_TIMEOUT);
            let answer = http.send(request, MAX_DOCUMENT_LEN).await.map_err(DocumentError::Fetch)?;
            let documented =
                document::read(url.as_str(), answer.status.as_u16(), &answer.headers, &answer.body)?;
            Ok((Arc::new(documented), cache_lifetime(&answer.headers)))
        }
        .boxed()
    }

    fn fresh(&self, url: &str, now: UnixMillis) -> Option<Arc<DocumentedClient>> {
        self.entries.get(url).filter(|(_, until)| now < *until).map(|(documented, _)| documented)
    }

    /// The cached document, even if expired.
    fn cached(&self, url: &str) -> Option<Arc<DocumentedClient>> {
        self.entries.get(url).map(|(documented, _)| documented)
    }
}

#[cfg(test)]
impl super::ClientRegistry {
    /// Caches a document as if it had just been fetched from its `client_id`.
    pub(crate) fn cache_document(&self, document: &serde_json::Value) {
        let headers = http::HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        )]);
        let id = document["client_id"].as_str().unwrap_or_default();
        let body = document.to_string();
        let documented = document::read(id, 200, &headers, body.as_bytes()).unwrap();
        let until = self.documents.clock.now().after_seconds(3600);
        self.documents.entries.insert(id.into(), (Arc::new(documented), until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;
    use crate::testing::TestServer;

    /// Requirements: as.document.address, advisory.ssrf
    #[tokio::test]
    async fn given_a_document_at_an_address_that_is_not_public_when_asked_for_then_it_is_not_fetched() {
        let world = TestServer::new(&["a"]).await;
        for url in
            ["https://127.0.0.1:9/c", "https://[::1]:9/c", "https://169.254.169.254/c", "https://10.0.0.1/c"]
        {
            let error = world.identity.clients.client(url).await.unwrap_err();
            assert!(
                matches!(&error, ClientError::Document(problem) if problem.to_string().contains("no permitted address")),
                "{error}"
            );
        }
        assert_eq!(world.events(EventKind::ClientRegistered).len(), 4);
    }

    #[test]
    fn given_a_host_that_answers_with_an_error_when_it_may_pass_then_that_says_nothing_of_the_client() {
        for (status, passes) in
            [(408, true), (429, true), (500, true), (503, true), (404, false), (499, false)]
        {
            let error = ClientError::from(Arc::new(DocumentError::Status(status)));
            assert_eq!(matches!(error, ClientError::DocumentUnavailable(_)), passes, "{status}");
        }
        assert!(matches!(Arc::new(DocumentError::ContentType).into(), ClientError::Document(_)));
    }

    /// Requirements: as.document.url
    #[tokio::test]
    async fn given_a_document_on_the_gateways_own_host_when_asked_for_then_it_is_not_fetched() {
        let world = TestServer::new(&["a"]).await;
        let error =
            world.identity.clients.client("https://gateway.example/connect/x/client.json").await.unwrap_err();
        assert!(error.to_string().contains("own host"), "{error}");
    }

    /// Requirements: as.document.cache
    #[tokio::test]
    async fn given_a_remembered_document_when_its_time_is_over_or_its_host_no_longer_allowed_then_it_is_not_used()
     {
        let world = TestServer::new(&["a"]).await;
        let id = "https://127.0.0.1:9/c";
        let client = Client {
            id: id.to_owned(),
            name: "x".to_owned(),
            redirect_uris: Vec::new(),
            from_document: true,
            authenticates: false,
            client_uri: None,
            logo_uri: None,
        };
        let documented = Arc::new(DocumentedClient::public(client));
        let until = world.clock.now().after_seconds(10);
        world.identity.clients.documents.entries.insert(id.into(), (documented, until));
        assert!(world.identity.clients.client(id).await.is_ok());
        world.swap(&["a"], |contract| contract.gateway.clients.metadata_document_hosts.clear());
        assert!(world.identity.clients.client(id).await.is_err());
        world.swap(&["a"], |_| {});
        world.advance(10);
        assert!(world.identity.clients.client(id).await.is_err());
    }
}
