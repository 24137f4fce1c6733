//! An authorization server with a store in memory and a clock that the test owns.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use parking_lot::Mutex;
use portcullis_ambient::{Clock, Instant, Random};
use portcullis_assertions::Verifier;
use portcullis_contract::Contract;
use portcullis_events::{Event, EventSink, Kind, Writer};
use portcullis_keys::Keys;
use portcullis_outbound::Clients;
use portcullis_policy::{Principal, Route, RouteTable, Tables};
use portcullis_providers::{Providers, ProvidersParts};
use portcullis_store::Store;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::digest::digest;
use crate::{
    Approved, AuthenticateError, Caller, Client, Identity, IdentityParts, Issuer, ReviewError, ReviewTokens,
    Reviewed, ServiceAccount,
};

mod signer;

pub(crate) use signer::{Signer, serve};

pub(crate) const PUBLIC_URL: &str = "https://gateway.example";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:33418/callback";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A table with a route for each slug, whose UID is `uid-{slug}`.
pub(crate) fn table(slugs: &[&str]) -> RouteTable {
    table_with(slugs, |_| {})
}

pub(crate) fn table_with(slugs: &[&str], change: impl FnOnce(&mut Contract)) -> RouteTable {
    let nothing = json!({"include": null, "exclude": [], "overrides": []});
    let routes: Vec<Value> = slugs
        .iter()
        .map(|slug| {
            json!({
                "uid": format!("uid-{slug}"), "name": format!("default/{slug}"), "slug": slug, "displayName": format!("Route {slug}"),
                "description": "", "suspended": false, "identityProvider": "company", "origin": "origin", "access": "Everyone",
                "capabilities": {"tools": nothing, "prompts": nothing, "resources": nothing, "resourceTemplates": nothing},
            })
        })
        .collect();
    let mut contract: Contract = serde_json::from_value(json!({
        "gateway": {
            "name": "gateway", "publicUrl": PUBLIC_URL,
            "identityProviders": [{"name": "company", "kind": {"development": {"users": []}}}],
            "tokens": {"accessSeconds": 900, "refreshSeconds": 30 * 24 * 3600, "sessionSeconds": 28_800},
            "storeOutageGraceSeconds": 900,
            "admins": {"groups": [], "users": [], "serviceAccounts": []},
            "clients": {"metadataDocumentHosts": ["*"], "dynamicRegistration": true},
            "trustedProxies": [],
        },
        "origins": [{
            "uid": "origin", "id": "o", "name": "default/origin", "displayName": "Origin", "url": "https://origin.example/mcp",
            "suspended": false, "auth": "none", "network": {"privateNetworks": [], "caBundlePem": null},
            "limits": {"requestTimeoutMs": 60_000, "responseBytes": 1_000_000},
        }],
        "routes": routes,
        "teams": [],
    }))
    .unwrap();
    change(&mut contract);
    RouteTable::build(&contract, 1).unwrap()
}

/// What verifies others' assertions, and speaks with identity providers.
fn towards_others(store: &Store, keys: &Arc<Keys>, clock: &Clock) -> (Arc<Verifier>, Providers) {
    let verifier = Arc::new(Verifier::new(Clients::new(), store.clone(), clock.clone()));
    let providers = Providers::new(ProvidersParts {
        verifier: Arc::clone(&verifier),
        store: store.clone(),
        keys: Arc::clone(keys),
        http: Clients::new(),
        clock: clock.clone(),
        random: Random::system(),
    });
    (verifier, providers)
}

pub(crate) struct World {
    pub(crate) identity: Identity,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keys>,
    tables: Tables,
    events: Mutex<Writer>,
    router: Router,
}

/// The body of an answer, with its status and headers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }
}

impl World {
    pub(crate) async fn new(slugs: &[&str]) -> Self {
        Self::over(slugs, Store::in_memory().await.unwrap()).await
    }

    pub(crate) async fn over(slugs: &[&str], store: Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keys::open_or_create(folder.path(), &Random::system()).unwrap());
        let clock = Clock::manual(Instant(1_790_000_000_000));
        Self::with(slugs, store, keys, clock).await
    }

    /// Another replica: the same store, keys and clock, and a memory of its own.
    pub(crate) async fn replica(&self, slugs: &[&str]) -> Self {
        Self::with(slugs, self.store.clone(), Arc::clone(&self.keys), self.clock.clone()).await
    }

    /// A process that has just started and has not read the log yet.
    pub(crate) fn replica_without_feed(&self) -> Identity {
        let (verifier, providers) = towards_others(&self.store, &self.keys, &self.clock);
        Identity::new(IdentityParts {
            tables: self.tables.clone(),
            store: self.store.clone(),
            keys: Arc::clone(&self.keys),
            http: Clients::new(),
            verifier,
            providers,
            clock: self.clock.clone(),
            random: Random::system(),
            events: EventSink::new().0,
            reviewer: None,
        })
    }

    /// In a cluster that knows one token: of the service account `mcp/reporter`, for the route `a`.
    pub(crate) async fn in_cluster(slugs: &[&str]) -> Self {
        let world = Self::new(slugs).await;
        let parts = (world.store.clone(), Arc::clone(&world.keys), world.clock.clone());
        Self::with_reviewer(slugs, parts, Some(Arc::new(FakeCluster))).await
    }

    async fn with(slugs: &[&str], store: Store, keys: Arc<Keys>, clock: Clock) -> Self {
        Self::with_reviewer(slugs, (store, keys, clock), None).await
    }

    async fn with_reviewer(
        slugs: &[&str],
        (store, keys, clock): (Store, Arc<Keys>, Clock),
        reviewer: Option<Arc<dyn ReviewTokens>>,
    ) -> Self {
        let tables = Tables::default();
        tables.swap(Arc::new(table(slugs)));
        let (sink, events) = EventSink::new();
        let (verifier, providers) = towards_others(&store, &keys, &clock);
        let identity = Identity::new(IdentityParts {
            tables: tables.clone(),
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: Clients::new(),
            verifier,
            providers,
            clock: clock.clone(),
            random: Random::system(),
            events: sink,
            reviewer,
        });
        identity.hear().await.unwrap();
        identity.remember(&ana()).await.unwrap();
        let router = identity.router();
        Self { identity, clock, store, keys, tables, events: Mutex::new(events), router }
    }

    pub(crate) fn swap(&self, slugs: &[&str], change: impl FnOnce(&mut Contract)) {
        self.tables.swap(Arc::new(table_with(slugs, change)));
    }

    pub(crate) fn table(&self) -> Arc<RouteTable> {
        self.tables.current().unwrap()
    }

    pub(crate) fn route(&self, slug: &str) -> Arc<Route> {
        Arc::clone(self.table().route(slug).unwrap())
    }

    /// Time passes; the log is not read meanwhile.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// What happened of a kind since somebody last asked for any kind.
    pub(crate) fn events(&self, kind: Kind) -> Vec<Event> {
        self.events.lock().drain().into_iter().filter(|event| event.event == kind).collect()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: head.status.as_u16(), headers: head.headers, json }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn register(&self, path: &str, document: &Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(Body::from(document.to_string())).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_as(path, form, None).await
    }

    pub(crate) async fn post_as(
        &self,
        path: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// A public client that registered.
    pub(crate) async fn client(&self) -> Arc<Client> {
        let document =
            json!({"client_name": "Test", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
        let answer = self.register("/register", &document).await;
        self.identity.client(answer.text("client_id")).await.unwrap()
    }

    /// A code for what Ana approved, at the route's own issuer or the root.
    pub(crate) async fn code(&self, client: &Client, slug: &str, at_root: bool) -> String {
        self.code_for(client, slug, at_root, VERIFIER).await
    }

    /// The same, for a verifier of the client's choice.
    pub(crate) async fn code_for(
        &self,
        client: &Client,
        slug: &str,
        at_root: bool,
        verifier: &str,
    ) -> String {
        let route = self.route(slug);
        let issuer = if at_root { Issuer::Root } else { Issuer::Route(Arc::clone(&route)) };
        let approved = Approved {
            client,
            principal: &ana().id,
            provider_session: None,
            issuer: &issuer,
            route: &route,
            redirect_uri: REDIRECT,
            code_challenge: &digest(verifier),
            scope: "mcp offline_access",
        };
        self.identity.grant_code(approved).await.unwrap()
    }

    pub(crate) async fn exchange(
        &self,
        path: &str,
        client: &Client,
        code: &str,
        more: &[(&str, &str)],
    ) -> Answer {
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

    /// Signed in at a route.
    pub(crate) async fn tokens(&self, client: &Client, slug: &str) -> Answer {
        let code = self.code(client, slug, false).await;
        let answer = self.exchange(&format!("/mcp/{slug}/oauth/token"), client, &code, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    pub(crate) async fn refresh(&self, slug: &str, client: &Client, token: &str) -> Answer {
        let form =
            [("grant_type", "refresh_token"), ("client_id", client.id.as_str()), ("refresh_token", token)];
        self.post(&format!("/mcp/{slug}/oauth/token"), &form).await
    }

    pub(crate) async fn authenticate(
        &self,
        token: &str,
        slug: &str,
    ) -> Result<Arc<Caller>, AuthenticateError> {
        self.identity.authenticate(token, &self.route(slug)).await
    }
}

pub(crate) fn ana() -> Principal {
    Principal::new("company", "ana", Some("ana@example.com"), Some("Ana"), ["finance"])
}

/// A cluster as far as reviews of tokens go: it honours what is signed by its key, for the audience that the token names.
struct FakeCluster;

/// The key of that cluster.
pub(crate) fn cluster_key() -> Signer {
    Signer::new("cluster", 77)
}

impl ReviewTokens for FakeCluster {
    fn review<'a>(&'a self, token: &'a str, audience: &'a str) -> Reviewed<'a> {
        Box::pin(async move {
            let Some(claims) = cluster_key().open(token) else { return Ok(None) };
            if claims["away"] == true {
                return Err(ReviewError("the API server does not answer".to_owned()));
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
