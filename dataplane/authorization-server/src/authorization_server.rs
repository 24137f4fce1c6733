//! The authorization server with its dependencies, caches and rate limits.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use portcullis_clock::{Clock, Random};
use portcullis_egress::HttpClients;
use portcullis_events::EventSink;
use portcullis_identity_providers::IdentityProviders;
use portcullis_jwt_verification::JwtVerifier;
use portcullis_keyring::Keyring;
use portcullis_policy::{RouteTable, RouteTableHandle};
use portcullis_rate_limit::RateLimit;
use portcullis_store::Store;

use crate::authenticate::{TokenHash, VerifiedToken};
use crate::client::DocumentCache;
use crate::revocation_feed::RevocationFeed;
use crate::{Issuer, TokenReviewer};

/// Maximum number of cached verified tokens. A token that was evicted costs another signature check.
const MAX_CACHED_TOKENS: u64 = 50_000;
/// A cached token is evicted if it is not used for this time.
const TOKEN_IDLE_TIMEOUT: Duration = Duration::from_secs(1800);
/// Client registrations per IP address: burst, and rate per second. All clients behind an untrusted proxy
/// share one address.
const REGISTRATION_LIMIT: (u32, u32) = (60, 1);
/// The same for all addresses together.
const TOTAL_REGISTRATION_LIMIT: (u32, u32) = (300, 5);

/// Token reviews of service account tokens per IP address: burst, and rate per second.
const TOKEN_REVIEW_LIMIT: (u32, u32) = (50, 10);
/// The same for all addresses together.
const TOTAL_TOKEN_REVIEW_LIMIT: (u32, u32) = (100, 20);
/// New authorization requests per IP address: burst, and rate per second. They need no authentication, and
/// each occupies a row in the store until the user decides or the request expires.
const PENDING_AUTHORIZATION_LIMIT: (u32, u32) = (200, 2);
/// The same for all addresses together.
const TOTAL_PENDING_AUTHORIZATION_LIMIT: (u32, u32) = (1_000, 10);

/// Dependencies of [`AuthorizationServer`].
#[derive(Clone)]
pub struct AuthorizationServerDependencies {
    /// Routes and settings.
    pub tables: RouteTableHandle,
    /// Stores clients, grants and principals.
    pub store: Store,
    /// Signs access tokens.
    pub keys: Arc<Keyring>,
    /// Fetches client ID metadata documents.
    pub http: HttpClients,
    /// Current time.
    pub clock: Clock,
    /// Source of codes, tokens and ids.
    pub random: Random,
    /// Records audit events.
    pub events: EventSink,
    /// Verifies JWTs of clients and identity providers.
    pub verifier: Arc<JwtVerifier>,
    /// The identity providers.
    pub providers: IdentityProviders,
    /// Verifies tokens of Kubernetes service accounts; `None` outside a cluster.
    pub reviewer: Option<Arc<dyn TokenReviewer>>,
}

/// The authorization server. Cheap to clone.
#[derive(Clone)]
pub struct AuthorizationServer(Arc<Inner>);

struct Inner {
    dependencies: AuthorizationServerDependencies,
    feed: RevocationFeed,
    tokens: Cache<TokenHash, Arc<VerifiedToken>>,
    documents: DocumentCache,
    registration_limit: RateLimit,
    token_review_limit: RateLimit,
    pending_authorization_limit: RateLimit,
}

impl AuthorizationServer {
    /// Creates an authorization server. It accepts no access token until [`follow_feed`](Self::follow_feed)
    /// runs.
    #[must_use]
    pub fn new(dependencies: AuthorizationServerDependencies) -> Self {
        Self(Arc::new(Inner {
            dependencies,
            feed: RevocationFeed::new(),
            tokens: Cache::builder().max_capacity(MAX_CACHED_TOKENS).time_to_idle(TOKEN_IDLE_TIMEOUT).build(),
            documents: DocumentCache::new(),
            registration_limit: RateLimit::new(REGISTRATION_LIMIT, TOTAL_REGISTRATION_LIMIT),
            token_review_limit: RateLimit::new(TOKEN_REVIEW_LIMIT, TOTAL_TOKEN_REVIEW_LIMIT),
            pending_authorization_limit: RateLimit::new(
                PENDING_AUTHORIZATION_LIMIT,
                TOTAL_PENDING_AUTHORIZATION_LIMIT,
            ),
        }))
    }

    /// The issuer at `{publicUrl}/mcp/{slug}`, or the root issuer without a slug. `None` if the slug is not
    /// served.
    #[must_use]
    pub fn issuer(&self, table: &RouteTable, slug: Option<&str>) -> Option<Issuer> {
        match slug {
            Some(slug) => table.route(slug).cloned().map(Issuer::Route),
            None => Some(Issuer::Root),
        }
    }

    /// Whether the rate limit allows another pending authorization request. Counts the request.
    #[must_use]
    pub fn allow_pending_authorization(&self) -> bool {
        self.0.pending_authorization_limit.take(self.clock().now())
    }

    pub(crate) fn tables(&self) -> &RouteTableHandle {
        &self.0.dependencies.tables
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.dependencies.store
    }

    pub(crate) fn keys(&self) -> &Keyring {
        &self.0.dependencies.keys
    }

    pub(crate) fn http(&self) -> &HttpClients {
        &self.0.dependencies.http
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.dependencies.clock
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.dependencies.random
    }

    pub(crate) fn events(&self) -> &EventSink {
        &self.0.dependencies.events
    }

    pub(crate) fn feed(&self) -> &RevocationFeed {
        &self.0.feed
    }

    pub(crate) fn tokens(&self) -> &Cache<TokenHash, Arc<VerifiedToken>> {
        &self.0.tokens
    }

    pub(crate) fn documents(&self) -> &DocumentCache {
        &self.0.documents
    }

    pub(crate) fn verifier(&self) -> &JwtVerifier {
        &self.0.dependencies.verifier
    }

    pub(crate) fn providers(&self) -> &IdentityProviders {
        &self.0.dependencies.providers
    }

    pub(crate) fn registration_limit(&self) -> &RateLimit {
        &self.0.registration_limit
    }

    pub(crate) fn token_review_limit(&self) -> &RateLimit {
        &self.0.token_review_limit
    }

    pub(crate) fn reviewer(&self) -> Option<&dyn TokenReviewer> {
        self.0.dependencies.reviewer.as_deref()
    }
}
