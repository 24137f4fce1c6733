use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_ambient::{Clock, Limit, Random};
use portcullis_assertions::Verifier;
use portcullis_events::EventSink;
use portcullis_keys::Keys;
use portcullis_outbound::Clients;
use portcullis_policy::{RouteTable, Tables};
use portcullis_providers::Providers;
use portcullis_store::Store;

use crate::authenticate::{TokenHash, Verified};
use crate::client::Documents;
use crate::feed::Feed;
use crate::{Issuer, ReviewTokens};

/// How many verified tokens are remembered. One that was crowded out costs a signature check.
const TOKENS: u64 = 50_000;
/// A token that nobody shows for this long is forgotten.
const TOKEN_IDLE: Duration = Duration::from_secs(1800);
/// How many clients may register at once from one address, and how many more each second. Behind a proxy that is not trusted
/// all have one.
const REGISTRATIONS: (u32, u32) = (60, 1);
/// From all addresses together.
const ALL_REGISTRATIONS: (u32, u32) = (300, 5);

/// How many service account tokens from one address may be sent to the cluster for review at once, and how many more each second.
const REVIEWS: (u32, u32) = (50, 10);
/// From all addresses together.
const ALL_REVIEWS: (u32, u32) = (100, 20);
/// How many authorization requests from one address may begin to wait for their users at once, and how many more each second.
/// Anybody can begin one, and each keeps a row for as long as a person may take.
const WAITING: (u32, u32) = (200, 2);
/// From all addresses together.
const ALL_WAITING: (u32, u32) = (1_000, 10);

/// What the authorization server works with.
#[derive(Clone)]
pub struct IdentityParts {
    /// Which routes there are, and the settings.
    pub tables: Tables,
    /// Clients, grants, people.
    pub store: Store,
    /// Signs access tokens.
    pub keys: Arc<Keys>,
    /// Fetches client ID metadata documents.
    pub http: Clients,
    /// The time.
    pub clock: Clock,
    /// Makes codes, tokens and ids.
    pub random: Random,
    /// Where what happens is recorded.
    pub events: EventSink,
    /// Verifies what clients and identity providers have signed.
    pub verifier: Arc<Verifier>,
    /// The identity providers.
    pub providers: Providers,
    /// Verifies tokens of Kubernetes service accounts; nobody does outside a cluster.
    pub reviewer: Option<Arc<dyn ReviewTokens>>,
}

/// The authorization server. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    parts: IdentityParts,
    feed: Feed,
    tokens: Cache<TokenHash, Arc<Verified>>,
    documents: Documents,
    registrations: Limit,
    reviews: Limit,
    waiting: Limit,
}

impl Identity {
    /// An authorization server. Somebody must [`follow`](Self::follow) the log of changes, or no token is honoured.
    #[must_use]
    pub fn new(parts: IdentityParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            feed: Feed::new(),
            tokens: Cache::builder().max_capacity(TOKENS).time_to_idle(TOKEN_IDLE).build(),
            documents: Documents::new(),
            registrations: Limit::new(REGISTRATIONS, ALL_REGISTRATIONS),
            reviews: Limit::new(REVIEWS, ALL_REVIEWS),
            waiting: Limit::new(WAITING, ALL_WAITING),
        }))
    }

    /// The authorization server at `{publicUrl}/mcp/{slug}`, or the one at the root where there is no slug. `None` for a slug
    /// that is not served.
    #[must_use]
    pub fn issuer(&self, table: &RouteTable, slug: Option<&str>) -> Option<Issuer> {
        match slug {
            Some(slug) => table.route(slug).cloned().map(Issuer::Route),
            None => Some(Issuer::Root),
        }
    }

    /// Counts an authorization request that is about to be kept for its user, and says whether it may be.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.0.waiting.take(self.clock().now())
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.0.parts.tables
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.parts.store
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.parts.keys
    }

    pub(crate) fn http(&self) -> &Clients {
        &self.0.parts.http
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.parts.random
    }

    pub(crate) fn events(&self) -> &EventSink {
        &self.0.parts.events
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    pub(crate) fn tokens(&self) -> &Cache<TokenHash, Arc<Verified>> {
        &self.0.tokens
    }

    pub(crate) fn documents(&self) -> &Documents {
        &self.0.documents
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.0.parts.verifier
    }

    pub(crate) fn providers(&self) -> &Providers {
        &self.0.parts.providers
    }

    pub(crate) fn registrations(&self) -> &Limit {
        &self.0.registrations
    }

    pub(crate) fn reviews(&self) -> &Limit {
        &self.0.reviews
    }

    pub(crate) fn reviewer(&self) -> Option<&dyn ReviewTokens> {
        self.0.parts.reviewer.as_deref()
    }
}
