//! Test fixture: an authorization server with a store in memory and a manual clock.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use parking_lot::Mutex;
use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_config::Config;
use portcullis_egress::HttpClients;
use portcullis_events::{Event, EventKind, EventSink, RecordedEvents};
use portcullis_golden::config::{config, gateway, origin, route, with};
use portcullis_identity_providers::{IdentityProviders, IdentityProvidersDependencies};
use portcullis_jwt_verification::JwtVerifier;
use portcullis_keyring::{Keyring, digest};
use portcullis_policy::{Principal, Route, RouteTable, RouteTableHandle};
use portcullis_store::Store;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::prune::ExpiredRows;
use crate::{
    ApprovedRequest, AuthenticateError, AuthorizationServer, AuthorizationServerDependencies, Caller, Client,
    Issuer, ServiceAccount, TokenReviewError, TokenReviewFuture, TokenReviewer,
};

mod signer;

pub(crate) use signer::{Signer, serve};

pub(crate) const PUBLIC_URL: &str = "https://gateway.example";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:33418/callback";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A route table with a route for each slug. Its UID is `uid-{slug}`.
pub(crate) fn table(slugs: &[&str]) -> RouteTable {
    table_with(slugs, |_| {})
}

pub(crate) fn table_with(slugs: &[&str], change: impl FnOnce(&mut Config)) -> RouteTable {
    let routes = slugs.iter().map(|slug| {
        let names = json!({"name": format!("default/{slug}"), "displayName": format!("Route {slug}")});
        with(route(&format!("uid-{slug}"), slug, "origin"), names)
    });
    let names = json!({"id": "o", "name": "default/origin", "displayName": "Origin"});
    let settings = json!({
        "publicUrl": PUBLIC_URL,
        "tokens": {"accessSeconds": 900, "refreshSeconds": 30 * 24 * 3600, "sessionSeconds": 28_800},
        "clients": {"metadataDocumentHosts": ["*"], "dynamicRegistration": true},
    });
    let config = config(with(gateway(), settings), vec![with(origin("origin"), names)], routes.collect());
    let mut contract: Config = serde_json::from_value(config).unwrap();
    change(&mut contract);
    RouteTable::build(&contract, 1).unwrap()
}

/// A JWT verifier and a client of identity providers.
fn verifier_and_providers(
    store: &Store,
    keys: &Arc<Keyring>,
    clock: &Clock,
) -> (Arc<JwtVerifier>, IdentityProviders) {
    let verifier = Arc::new(JwtVerifier::new(HttpClients::new(), store.clone(), clock.clone()));
    let providers = IdentityProviders::new(IdentityProvidersDependencies {
        verifier: Arc::clone(&verifier),
        store: store.clone(),
        keys: Arc::clone(keys),
        http: HttpClients::new(),
        clock: clock.clone(),
        random: Random::system(),
    });
    (verifier, providers)
}

pub(crate) struct TestServer {
    pub(crate) identity: AuthorizationServer,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keyring>,
    tables: RouteTableHandle,
    events: Mutex<RecordedEvents>,
    router: Router,
}

/// A response with its body parsed as JSON.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) json: Value,
}

impl TestResponse {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }
}

impl TestServer {
    pub(crate) async fn new(slugs: &[&str]) -> Self {
        Self::with_store(slugs, Store::in_memory().await.unwrap()).await
    }

    pub(crate) async fn with_store(slugs: &[&str], store: Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keyring::open_or_create(folder.path(), &Random::system()).unwrap());
        let clock = Clock::manual(UnixMillis(1_790_000_000_000));
        Self::with(slugs, store, keys, clock).await
    }

    /// Another replica with the same store, keys and clock, but its own caches.
    pub(crate) async fn replica(&self, slugs: &[&str]) -> Self {
        Self::with(slugs, self.store.clone(), Arc::clone(&self.keys), self.clock.clone()).await
    }

    /// A replica that has just started and has not read the change log yet.
    pub(crate) fn replica_without_feed(&self) -> AuthorizationServer {
        let (verifier, providers) = verifier_and_providers(&self.store, &self.keys, &self.clock);
        AuthorizationServer::new(AuthorizationServerDependencies {
            tables: self.tables.clone(),
            store: self.store.clone(),
            keys: Arc::clone(&self.keys),
            http: HttpClients::new(),
            verifier,
            providers,
            clock: self.clock.clone(),
            random: Random::system(),
            events: EventSink::new().0,
            reviewer: None,
        })
    }

    /// In a cluster with one valid token: of the service account `mcp/reporter`, for the route `a`.
    pub(crate) async fn in_cluster(slugs: &[&str]) -> Self {
        let world = Self::new(slugs).await;
        let dependencies = (world.store.clone(), Arc::clone(&world.keys), world.clock.clone());
        Self::with_reviewer(slugs, dependencies, Some(Arc::new(FakeCluster))).await
    }

    async fn with(slugs: &[&str], store: Store, keys: Arc<Keyring>, clock: Clock) -> Self {
        Self::with_reviewer(slugs, (store, keys, clock), None).await
    }

    async fn with_reviewer(
        slugs: &[&str],
        (store, keys, clock): (Store, Arc<Keyring>, Clock),
        reviewer: Option<Arc<dyn TokenReviewer>>,
    ) -> Self {
        let tables = RouteTableHandle::default();
        tables.swap(Arc::new(table(slugs)));
        let (sink, events) = EventSink::in_memory();
        let (verifier, providers) = verifier_and_providers(&store, &keys, &clock);
        let identity = AuthorizationServer::new(AuthorizationServerDependencies {
            tables: tables.clone(),
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: HttpClients::new(),
            verifier,
            providers,
            clock: clock.clone(),
            random: Random::system(),
            events: sink,
            reviewer,
        });
        identity.feed_reader.read().await.unwrap();
        identity.principals.save(&ana()).await.unwrap();
        let router = identity.router.clone();
        Self { identity, clock, store, keys, tables, events: Mutex::new(events), router }
    }

    pub(crate) fn swap(&self, slugs: &[&str], change: impl FnOnce(&mut Config)) {
        self.tables.swap(Arc::new(table_with(slugs, change)));
    }

    pub(crate) fn table(&self) -> Arc<RouteTable> {
        self.tables.current().unwrap()
    }

    pub(crate) fn route(&self, slug: &str) -> Arc<Route> {
        Arc::clone(self.table().route(slug).unwrap())
    }

    pub(crate) async fn prune(&self) {
        let rows = ExpiredRows::new(self.tables.clone(), self.store.clone(), self.clock.clone());
        rows.delete().await.unwrap();
    }

    /// Advances the clock without reading the change log.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Events of a kind since the last call. Drops the events of other kinds.
    pub(crate) fn events(&self, kind: EventKind) -> Vec<Event> {
        self.events.lock().drain().into_iter().filter(|event| event.event == kind).collect()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> TestResponse {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        TestResponse { status: head.status.as_u16(), headers: head.headers, json }
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn register(&self, path: &str, document: &Value) -> TestResponse {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(Body::from(document.to_string())).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> TestResponse {
        self.post_as(path, form, None).await
    }

    pub(crate) async fn post_as(
        &self,
        path: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> TestResponse {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// A registered public client.
    pub(crate) async fn client(&self) -> Arc<Client> {
        let document =
            json!({"client_name": "Test", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
        let answer = self.register("/register", &document).await;
        self.identity.clients.client(answer.text("client_id")).await.unwrap()
    }

    /// A code for a request that Ana approved, at the route's issuer or the root issuer.
    pub(crate) async fn code(&self, client: &Client, slug: &str, at_root: bool) -> String {
        self.code_for(client, slug, at_root, VERIFIER).await
    }

    /// The same with another PKCE verifier.
    pub(crate) async fn code_for(
        &self,
        client: &Client,
        slug: &str,
        at_root: bool,
        verifier: &str,
    ) -> String {
        let route = self.route(slug);
        let issuer = if at_root { Issuer::Root } else { Issuer::Route(Arc::clone(&route)) };
        let approved = ApprovedRequest {
            client,
            principal: &ana().id,
            provider_session: None,
            issuer: &issuer,
            route: &route,
            redirect_uri: REDIRECT,
            code_challenge: &digest(verifier),
            scope: "mcp offline_access",
        };
        self.identity.codes.issue(approved).await.unwrap()
    }

    pub(crate) async fn exchange(
        &self,
        path: &str,
        client: &Client,
        code: &str,
        more: &[(&str, &str)],
    ) -> TestResponse {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", client.id.as_str()),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        form.retain(|(name, _)| !more.iter().any(|(changed, _)| changed == name));
        form.extend_from_slice(more);
        self.post(path, &form).await
    }

    /// Tokens for a route, after a sign-in.
    pub(crate) async fn tokens(&self, client: &Client, slug: &str) -> TestResponse {
        let code = self.code(client, slug, false).await;
        let answer = self.exchange(&format!("/mcp/{slug}/oauth/token"), client, &code, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    pub(crate) async fn refresh(&self, slug: &str, client: &Client, token: &str) -> TestResponse {
        let form =
            [("grant_type", "refresh_token"), ("client_id", client.id.as_str()), ("refresh_token", token)];
        self.post(&format!("/mcp/{slug}/oauth/token"), &form).await
    }

    pub(crate) async fn authenticate(
        &self,
        token: &str,
        slug: &str,
    ) -> Result<Arc<Caller>, AuthenticateError> {
        let table = self.tables.current().unwrap();
        self.identity.access_tokens.authenticate(token, &self.route(slug), &table).await
    }
}

pub(crate) fn ana() -> Principal {
    Principal::new("company", "ana", Some("ana@example.com"), Some("Ana"), ["finance"])
}

/// A fake TokenReview: accepts tokens signed by its key, for the audience in the token.
struct FakeCluster;

/// The signing key of the fake cluster.
pub(crate) fn cluster_key() -> Signer {
    Signer::new("cluster", 77)
}

impl TokenReviewer for FakeCluster {
    fn review<'a>(&'a self, token: &'a str, audience: &'a str) -> TokenReviewFuture<'a> {
        Box::pin(async move {
            let Some(claims) = cluster_key().open(token) else { return Ok(None) };
            if claims["away"] == true {
                return Err(TokenReviewError::Timeout);
            }
            let is_for_us = claims["aud"].as_array().is_some_and(|list| list.contains(&json!(audience)));
            let account = claims["sub"].as_str().and_then(|sub| sub.strip_prefix("system:serviceaccount:"));
            let account = account.and_then(|account| account.split_once(':')).filter(|_| is_for_us);
            Ok(account.map(|(namespace, name)| ServiceAccount {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }))
        })
    }
}
