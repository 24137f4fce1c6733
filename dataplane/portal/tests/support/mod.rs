//! A gateway's pages with a store in memory, and a browser that keeps cookies.

#![allow(dead_code, unused_imports, reason = "each file of tests uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod browser;
mod provider;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use portcullis_authorization_server::{AuthorizationServer, AuthorizationServerDependencies};
use portcullis_clock::{Clock, Random};
use portcullis_config::Config;
use portcullis_egress::HttpClients;
use portcullis_events::EventSink;
use portcullis_golden::config::{self, with};
use portcullis_identity_providers::{IdentityProviders, IdentityProvidersDependencies};
use portcullis_jwt_verification::JwtVerifier;
use portcullis_keyring::Keyring;
use portcullis_origin_auth::{BrokerDependencies, ConnectionStatus, CredentialBroker};
use portcullis_policy::{PrincipalId, RouteTable, RouteTableHandle};
use portcullis_portal::{Portal, PortalDependencies};
use portcullis_store::Store;
use serde_json::{Value, json};

pub(crate) use browser::{Browser, Page};
pub(crate) use provider::{OpenIdProvider, SECRET};

pub(crate) const PUBLIC_URL: &str = "http://127.0.0.1:8080";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:33418/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(crate) struct TestGateway {
    pub(crate) portal: Portal,
    pub(crate) identity: AuthorizationServer,
    pub(crate) broker: CredentialBroker,
    pub(crate) store: Store,
    /// Moves when it is told to, from the time now on.
    pub(crate) clock: Clock,
    pub(crate) tables: RouteTableHandle,
    pub(crate) client: String,
    contract: Config,
    router: Router,
    lines: Arc<Mutex<Vec<u8>>>,
}

struct EventBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for EventBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl TestGateway {
    /// Routes `open` (everybody), `guarded` (team finance), `accounts` (its origin wants an account), `off` (suspended) and
    /// `shop` (another identity provider).
    pub(crate) async fn new() -> Self {
        Self::with(None).await
    }

    /// The same; people of `company` sign in at an OpenID provider.
    pub(crate) async fn with(provider: Option<&OpenIdProvider>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let random = Random::system();
        let clock = Clock::manual(Clock::system().now());
        let keys = Arc::new(Keyring::open_or_create(folder.path(), &random).unwrap());
        let store = Store::in_memory().await.unwrap();
        let (events, writer) = EventSink::new();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let out = EventBuffer(Arc::clone(&lines));
        std::thread::spawn(move || writer.run(out));
        let tables = RouteTableHandle::default();
        let contract = contract(provider);
        tables.swap(Arc::new(RouteTable::build(&contract, 1).unwrap()));
        let http = HttpClients::new();
        let verifier = Arc::new(JwtVerifier::new(http.clone(), store.clone(), clock.clone()));
        let providers = IdentityProviders::new(IdentityProvidersDependencies {
            verifier: Arc::clone(&verifier),
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: http.clone(),
            clock: clock.clone(),
            random: random.clone(),
        });
        let identity = AuthorizationServer::new(AuthorizationServerDependencies {
            tables: tables.clone(),
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: http.clone(),
            verifier,
            providers: providers.clone(),
            clock: clock.clone(),
            random: random.clone(),
            events: events.clone(),
            reviewer: None,
        });
        let broker = CredentialBroker::new(BrokerDependencies {
            store: store.clone(),
            keys: Arc::clone(&keys),
            http: http.clone(),
            identities: None,
            clock: clock.clone(),
            random: random.clone(),
            events: events.clone(),
        });
        let portal = Portal::new(PortalDependencies {
            tables: tables.clone(),
            clients: Arc::clone(&identity.clients),
            codes: Arc::clone(&identity.codes),
            principals: Arc::clone(&identity.principals),
            revocation: Arc::clone(&identity.revocation),
            broker: broker.clone(),
            store: store.clone(),
            keys,
            providers,
            clock: clock.clone(),
            random,
            events,
        });
        let router = identity.router.clone().merge(portal.router());
        let mut world = Self {
            portal,
            identity,
            broker,
            store,
            clock,
            tables,
            client: String::new(),
            contract,
            router,
            lines,
        };
        world.client = world.register(&[REDIRECT]).await;
        world
    }

    /// Registers a public client.
    pub(crate) async fn register(&self, redirect_uris: &[&str]) -> String {
        self.register_with(redirect_uris, "none").await
    }

    pub(crate) async fn register_with(&self, redirect_uris: &[&str], method: &str) -> String {
        let body = json!({"client_name": "A <b>plain</b> client", "redirect_uris": redirect_uris, "token_endpoint_auth_method": method});
        let answer: Value =
            serde_json::from_str(&browser::post_json(&self.router, "/register", &body).await).unwrap();
        answer["client_id"].as_str().unwrap().to_owned()
    }

    /// Serves another contract from now on.
    pub(crate) fn update_config(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.contract);
        self.tables.swap(Arc::new(RouteTable::build(&self.contract, 2).unwrap()));
    }

    /// Posts what no browser is behind, and returns status and body.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        browser::post_form(&self.router, path, fields).await
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.router.clone())
    }

    /// Where a client sends the browser. A change with an empty value leaves the parameter out; `state` is sent as it is given.
    pub(crate) fn authorize(&self, route: &str, changes: &[(&str, &str)]) -> String {
        let resource = format!("{PUBLIC_URL}/mcp/{route}");
        let usual = [
            ("response_type", "code"),
            ("client_id", self.client.as_str()),
            ("redirect_uri", REDIRECT),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "abc"),
            ("resource", resource.as_str()),
            ("scope", "mcp"),
        ];
        let mut url = format!("/mcp/{route}/oauth/authorize?");
        let added = changes.iter().filter(|(name, _)| usual.iter().all(|(other, _)| other != name));
        for (name, value) in usual.iter().chain(added) {
            let value =
                changes.iter().find(|(changed, _)| changed == name).map_or(*value, |(_, value)| *value);
            if !value.is_empty() {
                let value = match *name {
                    "state" => value.to_owned(),
                    _ => url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
                };
                url.push_str(&format!("{name}={value}&"));
            }
        }
        url.trim_end_matches('&').to_owned()
    }

    /// Somebody approves the client for a route, signing in with the development sign-in where they have not yet, and the client
    /// redeems its code. Returns the refresh token.
    pub(crate) async fn grant(&self, browser: &mut Browser, route: &str, email: &str) -> String {
        let mut page = browser.get(&self.authorize(route, &[])).await;
        for (name, value) in [("decision", "approve"), ("user", email), ("decision", "approve")] {
            if page.html.contains(&format!(r#"name="{name}" value="{value}""#)) {
                page = browser.submit(&page, name, value).await;
            }
        }
        let code = page.parameter("code").unwrap_or_else(|| panic!("no code: {}", page.html));
        let answer = self
            .token(
                route,
                &[
                    ("grant_type", "authorization_code"),
                    ("code", &code),
                    ("redirect_uri", REDIRECT),
                    ("code_verifier", VERIFIER),
                ],
            )
            .await;
        answer.unwrap()["refresh_token"].as_str().unwrap().to_owned()
    }

    /// What the token endpoint of a route says to the client.
    pub(crate) async fn token(&self, route: &str, fields: &[(&str, &str)]) -> Result<Value, String> {
        let mut form = vec![("client_id", self.client.as_str())];
        form.extend(fields);
        let (status, body) =
            browser::post_form(&self.router, &format!("/mcp/{route}/oauth/token"), &form).await;
        if status == 200 { Ok(serde_json::from_str(&body).unwrap()) } else { Err(body) }
    }

    /// Whether a client's refresh token still gives it something. One that does is spent.
    pub(crate) async fn refresh_token_works(&self, route: &str, refresh_token: &str) -> bool {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.token(route, &fields).await.is_ok()
    }

    /// A browser in which somebody has signed in with the development sign-in.
    pub(crate) async fn signed_in(&self, email: &str) -> Browser {
        let mut browser = self.browser();
        let page = browser.get(&self.authorize("open", &[])).await;
        let users = browser.submit(&page, "decision", "approve").await;
        browser.submit(&users, "user", email).await;
        browser
    }

    /// Events of a kind, once at least one has been written.
    pub(crate) async fn events(&self, kind: &str) -> Vec<Value> {
        self.events_once(kind, 1).await
    }

    /// Events of a kind, once so many have been written.
    pub(crate) async fn events_once(&self, kind: &str, count: usize) -> Vec<Value> {
        for _ in 0..100 {
            let text = String::from_utf8(self.lines.lock().unwrap().clone()).unwrap();
            let found: Vec<Value> = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .filter(|event: &Value| event["event"] == kind)
                .collect();
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Vec::new()
    }

    /// How somebody stands with the origin of `accounts`.
    pub(crate) async fn connection(&self, email: &str) -> ConnectionStatus {
        let table = self.tables.current().unwrap();
        let origin = &table.route("accounts").unwrap().origin;
        self.broker.accounts.status(&PrincipalId::of("company", email), origin).await.unwrap()
    }

    /// A connect link of somebody's, as a path.
    pub(crate) async fn connect_link_path(&self, email: &str) -> String {
        let table = self.tables.current().unwrap();
        let who = PrincipalId::of("company", email);
        let link = self.portal.connect_link(&table, &who, table.route("accounts").unwrap()).await.unwrap();
        link.strip_prefix(PUBLIC_URL).unwrap().to_owned()
    }
}

fn contract(provider: Option<&OpenIdProvider>) -> Config {
    let route = |slug: &str, provider: &str, origin: &str, access: &str| {
        let settings = json!({
            "name": format!("default/{slug}"), "displayName": format!("Route {slug}"),
            "suspended": slug == "off", "identityProvider": provider, "access": access,
        });
        with(config::route(&format!("uid-{slug}"), slug, origin), settings)
    };
    let origin = |uid: &str, url: &str, auth: Value| {
        let settings = json!({
            "id": format!("id-{uid}"), "name": format!("default/{uid}"), "displayName": format!("Origin {uid}"),
            "url": url, "auth": auth, "network": {"privateNetworks": ["127.0.0.0/8"], "caBundlePem": null},
        });
        with(config::origin(uid), settings)
    };
    let user =
        |email: &str, name: &str, groups: &[&str]| json!({"email": email, "name": name, "groups": groups});
    let development = |users: &[Value]| json!({"development": {"users": users}});
    let people = [user("ana@example.com", "Ana", &["finance"]), user("eve@example.com", "Eve", &[])];
    let company = match provider {
        None => development(&people),
        Some(provider) => json!({"oidc": {
            "issuer": provider.issuer, "clientId": "portcullis", "clientSecret": "default/idp/secret",
            "scopes": ["openid", "email"],
            "claims": {"subject": "sub", "email": "email", "name": "name", "groups": "groups"},
            "trustEmail": false, "privateNetworks": ["127.0.0.0/8"], "caBundlePem": null,
        }}),
    };
    let accounts_url =
        provider.map_or("http://127.0.0.1:9/mcp".to_owned(), |it| format!("{}/mcp", it.issuer));
    let settings = json!({
        "publicUrl": PUBLIC_URL,
        "identityProviders": [
            {"name": "company", "kind": company},
            {"name": "customers", "kind": development(&[user("ana@example.com", "Ana at the shop", &[])])},
        ],
        "tokens": {"accessSeconds": 900, "refreshSeconds": 86_400, "sessionSeconds": 28_800},
        "clients": {"metadataDocumentHosts": ["*"], "dynamicRegistration": true},
    });
    let origins = vec![
        origin("plain", "https://origin.example/mcp", json!("none")),
        origin("accounts", &accounts_url, json!({"userOAuth": {"scopes": [], "registration": "auto"}})),
    ];
    let routes = vec![
        route("open", "company", "plain", "Everyone"),
        route("guarded", "company", "plain", "Teams"),
        route("accounts", "company", "accounts", "Everyone"),
        route("off", "company", "plain", "Everyone"),
        route("shop", "customers", "plain", "Everyone"),
    ];
    let mut documents = config::config(with(config::gateway(), settings), origins, routes);
    documents["teams"] = json!([{
        "uid": "finance", "name": "default/finance", "displayName": "Finance",
        "members": {"groups": ["finance"], "users": [], "serviceAccounts": []},
        "access": [{"route": "uid-guarded", "tools": config::everything()}],
    }]);
    let mut contract: Config = serde_json::from_value(documents).unwrap();
    contract.secrets.insert(
        portcullis_config::SecretKey("default/idp/secret".to_owned()),
        portcullis_config::SecretValue { value: SECRET.to_owned().into(), allowed_hosts: Vec::new() },
    );
    contract
}
