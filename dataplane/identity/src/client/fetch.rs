//! Fetching client ID metadata documents, and remembering them within bounds.

use std::sync::Arc;

use http::header::ACCEPT;
use moka::sync::Cache;
use portcullis_ambient::Instant;
use portcullis_events::{Event, FailureOrigin, Kind, Outcome};
use portcullis_outbound::OutboundError;
use tokio::sync::Semaphore;

use super::ClientError;
use super::document::{self, DocumentError, Documented};
use crate::Identity;
use portcullis_ambient::Limit;
use portcullis_outbound::lifetime;

/// Largest document (draft, "Maximum Response Size").
const LIMIT: usize = 5 * 1024;
/// How many are remembered.
const DOCUMENTS: u64 = 2_000;
/// How many are fetched at a time: anybody can make the gateway fetch one.
const AT_ONCE: usize = 16;
/// How many may be fetched in a burst for one address, and each second after it.
const FETCHES: (u32, u32) = (60, 1);
/// For all addresses together.
const ALL_FETCHES: (u32, u32) = (240, 4);

/// Documents that were fetched and found sound. Errors are never remembered.
pub(crate) struct Documents {
    known: Cache<Box<str>, (Arc<Documented>, Instant)>,
    fetching: Semaphore,
    fetches: Limit,
}

impl Documents {
    pub(crate) fn new() -> Self {
        Self {
            known: Cache::new(DOCUMENTS),
            fetching: Semaphore::new(AT_ONCE),
            fetches: Limit::new(FETCHES, ALL_FETCHES),
        }
    }

    fn known(&self, url: &str, now: Instant) -> Option<Arc<Documented>> {
        self.known.get(url).filter(|(_, until)| now < *until).map(|(documented, _)| documented)
    }

    /// As it was when it was last fetched, however long ago.
    fn last(&self, url: &str) -> Option<Arc<Documented>> {
        self.known.get(url).map(|(documented, _)| documented)
    }
}

impl Identity {
    /// The client whose document is at a URL, as it was last fetched where it cannot be fetched now: what it was granted before
    /// does not depend on its host from hour to hour.
    pub(super) async fn documented_client_or_last(
        &self,
        client_id: &str,
    ) -> Result<Arc<Documented>, ClientError> {
        match self.documented_client(client_id).await {
            Err(ClientError::DocumentAway(problem)) => {
                self.documents().last(client_id).ok_or(ClientError::DocumentAway(problem))
            }
            documented => documented,
        }
    }

    /// The client whose document is at a URL.
    pub(super) async fn documented_client(&self, client_id: &str) -> Result<Arc<Documented>, ClientError> {
        let client = self.documented(client_id).await;
        if let Err(ClientError::Document(problem) | ClientError::DocumentAway(problem)) = &client {
            let mut event = Event::new(self.clock().now(), Kind::ClientRegistered, Outcome::ClientError);
            event.client_id = Some(client_id.chars().take(256).collect::<String>().into());
            event.failure_origin = Some(FailureOrigin::Client);
            event.reason = Some("client_document");
            event.message = Some(problem.as_str().into());
            self.events().record(event);
        }
        client
    }

    async fn documented(&self, client_id: &str) -> Result<Arc<Documented>, ClientError> {
        // Before the memory is asked: the settings may have changed since.
        let table = self
            .tables()
            .current()
            .ok_or_else(|| ClientError::DocumentAway("the gateway has no configuration yet".to_owned()))?;
        let url = document::check_url(client_id, &table).map_err(|error| problem(&error))?;
        if let Some(client) = self.documents().known(client_id, self.clock().now()) {
            return Ok(client);
        }
        let busy = || {
            ClientError::DocumentAway("too many documents are being fetched; try again shortly".to_owned())
        };
        let _turn = self.documents().fetching.try_acquire().map_err(|_| busy())?;
        if !self.documents().fetches.take(self.clock().now()) {
            return Err(busy());
        }
        let unreachable = |error: OutboundError| match error {
            OutboundError::Forbidden { .. }
            | OutboundError::Plain { .. }
            | OutboundError::TooLarge { .. } => ClientError::Document(error.to_string()),
            error => ClientError::DocumentAway(error.to_string()),
        };
        // Public addresses alone, whatever networks origins may live in.
        let http = self.http().http(&[], None).map_err(unreachable)?;
        let answer =
            http.send(http.get(url).header(ACCEPT, "application/json"), LIMIT).await.map_err(unreachable)?;
        let documented = document::read(client_id, answer.status.as_u16(), &answer.headers, &answer.body)
            .map_err(|error| problem(&error))?;
        let documented = Arc::new(documented);
        let client = &documented.client;
        let now = self.clock().now();
        let until = now.after(lifetime(&answer.headers));
        self.documents().known.insert(client_id.into(), (Arc::clone(&documented), until));
        let mut event = Event::new(now, Kind::ClientRegistered, Outcome::Success);
        event.gateway = Some(Arc::clone(&table.gateway.name));
        event.client_id = Some(client.id.as_str().into());
        event.client_name = Some(client.name.as_str().into());
        event.reason = Some("client_document");
        self.events().record(event);
        Ok(documented)
    }
}

fn problem(error: &DocumentError) -> ClientError {
    match error {
        // Its host has a bad moment.
        DocumentError::Status(408 | 429 | 500..) => ClientError::DocumentAway(error.to_string()),
        _ => ClientError::Document(error.to_string()),
    }
}

#[cfg(test)]
impl Identity {
    /// As if the document at its `client_id` had been fetched just now.
    pub(crate) fn learn_document(&self, document: &serde_json::Value) {
        let headers = http::HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        )]);
        let id = document["client_id"].as_str().unwrap_or_default();
        let body = document.to_string();
        let documented = document::read(id, 200, &headers, body.as_bytes()).unwrap();
        let until = self.clock().now().after_seconds(3600);
        self.documents().known.insert(id.into(), (Arc::new(documented), until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;
    use crate::testing::World;

    #[tokio::test]
    async fn given_a_document_at_an_address_that_is_not_public_when_asked_for_then_it_is_not_fetched() {
        let world = World::new(&["a"]).await;
        for url in
            ["https://127.0.0.1:9/c", "https://[::1]:9/c", "https://169.254.169.254/c", "https://10.0.0.1/c"]
        {
            let error = world.identity.client(url).await.unwrap_err();
            assert!(
                matches!(&error, ClientError::Document(problem) if problem.contains("no address that may be reached")),
                "{error}"
            );
        }
        assert_eq!(world.events(Kind::ClientRegistered).len(), 4);
    }

    #[test]
    fn given_a_host_that_answers_with_an_error_when_it_may_pass_then_that_says_nothing_of_the_client() {
        for (status, passes) in
            [(408, true), (429, true), (500, true), (503, true), (404, false), (499, false)]
        {
            let error = problem(&DocumentError::Status(status));
            assert_eq!(matches!(error, ClientError::DocumentAway(_)), passes, "{status}");
        }
        assert!(matches!(problem(&DocumentError::ContentType), ClientError::Document(_)));
    }

    #[tokio::test]
    async fn given_a_document_on_the_gateways_own_host_when_asked_for_then_it_is_not_fetched() {
        let world = World::new(&["a"]).await;
        let error = world.identity.client("https://gateway.example/connect/x/client.json").await.unwrap_err();
        assert!(error.to_string().contains("own host"), "{error}");
    }

    #[tokio::test]
    async fn given_a_remembered_document_when_its_time_is_over_or_its_host_no_longer_allowed_then_it_is_not_used()
     {
        let world = World::new(&["a"]).await;
        let id = "https://127.0.0.1:9/c";
        let client = Client {
            id: id.to_owned(),
            name: "x".to_owned(),
            redirect_uris: Vec::new(),
            from_document: true,
            client_uri: None,
            logo_uri: None,
        };
        let documented = Arc::new(Documented::public(client));
        let until = world.clock.now().after_seconds(10);
        world.identity.documents().known.insert(id.into(), (documented, until));
        assert!(world.identity.client(id).await.is_ok());
        world.swap(&["a"], |contract| contract.gateway.clients.metadata_document_hosts.clear());
        assert!(world.identity.client(id).await.is_err());
        world.swap(&["a"], |_| {});
        world.pass(10);
        assert!(world.identity.client(id).await.is_err());
    }
}
