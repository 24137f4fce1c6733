//! A credential broker with its dependencies, and a small origin with its authorization server on loopback.

#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod provider;

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_config::{
    CatalogSharing, ClientPolicy, ClientRegistration, Config, GatewayConfig, IdentityProviderConfig,
    IdentityProviderKind, Members, Network, OriginAuth, OriginConfig, OriginLimits, RegisteredClient,
    RouteConfig, SecretKey, SecretValue, Secrets, TokenEndpointAuthMethod, TokenLifetimes,
};
use portcullis_egress::HttpClients;
use portcullis_events::{EventSink, RecordedEvents};
use portcullis_keyring::Keyring;
use portcullis_origin_auth::{
    BrokerDependencies, CompletedConnect, ConnectCallback, ConnectError, Credential, CredentialBroker,
    IdentityTokenSource,
};
use portcullis_policy::{Origin, PrincipalId, RouteTable};
use portcullis_store::Store;
use provider::Provider;
use url::Url;

pub(crate) const BROWSER: &str = "digest-of-a-cookie";

pub(crate) struct Harness {
    pub(crate) provider: Provider,
    pub(crate) broker: CredentialBroker,
    pub(crate) store: Store,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) clock: Clock,
    pub(crate) table: Arc<RouteTable>,
    pub(crate) events: RecordedEvents,
    identities: Option<Arc<dyn IdentityTokenSource>>,
    folder: tempfile::TempDir,
}

pub(crate) type MakeIdentities = fn(&Url) -> Arc<dyn IdentityTokenSource>;

/// Configuration of an origin.
pub(crate) struct Settings {
    pub(crate) uid: &'static str,
    pub(crate) public_url: &'static str,
    pub(crate) path: &'static str,
    pub(crate) scopes: Vec<String>,
    pub(crate) registration: ClientRegistration,
    /// Secret of the client registered by hand.
    pub(crate) secret: String,
    pub(crate) secret_hosts: Vec<String>,
    /// Auth configuration that replaces `userOAuth`, from the provider's base URL.
    pub(crate) auth: Option<fn(&Url) -> OriginAuth>,
    /// Creates the identity token source from the provider's base URL.
    pub(crate) identities: Option<MakeIdentities>,
    pub(crate) private_networks: Vec<ipnet::IpNet>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uid: "origin-uid",
            public_url: "http://127.0.0.1:8080",
            path: "/mcp",
            scopes: Vec::new(),
            registration: ClientRegistration::Auto,
            secret: "a secret/of+ours".to_owned(),
            secret_hosts: Vec::new(),
            auth: None,
            identities: None,
            private_networks: vec!["127.0.0.0/8".parse().unwrap()],
        }
    }
}

impl Settings {
    pub(crate) fn registered_by_hand(hosts: &[&str]) -> Self {
        Self::registered_as("by-hand", hosts)
    }

    pub(crate) fn registered_as(id: &str, hosts: &[&str]) -> Self {
        Self {
            registration: ClientRegistration::Client(client(id)),
            secret_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..Self::default()
        }
    }
}

pub(crate) fn table(base: &Url, settings: &Settings) -> Arc<RouteTable> {
    let mut secrets = Secrets::default();
    secrets.insert(
        SecretKey("default/client/secret".into()),
        SecretValue { value: settings.secret.as_str().into(), allowed_hosts: settings.secret_hosts.clone() },
    );
    let config = Config {
        gateway: GatewayConfig {
            name: "gateway".into(),
            public_url: settings.public_url.parse().unwrap(),
            identity_providers: vec![IdentityProviderConfig {
                name: "company".into(),
                previous_issuers: Vec::new(),
                kind: IdentityProviderKind::Development { users: Vec::new() },
            }],
            tokens: TokenLifetimes { access_seconds: 900, refresh_seconds: 3600, session_seconds: 3600 },
            store_outage_grace_seconds: 900,
            admins: Members::default(),
            clients: ClientPolicy {
                metadata_document_hosts: Vec::new(),
                dynamic_registration: true,
                workloads: Vec::new(),
            },
            trusted_proxies: Vec::new(),
            event_overload: portcullis_config::EventOverload::Drop,
        },
        origins: vec![OriginConfig {
            uid: settings.uid.into(),
            id: "o1".into(),
            name: "default/accounts".into(),
            display_name: "Accounts".into(),
            url: base.join(settings.path).unwrap(),
            suspended: false,
            auth: settings.auth.map(|auth| auth(base)).unwrap_or_else(|| OriginAuth::UserOAuth {
                scopes: settings.scopes.clone(),
                registration: settings.registration.clone(),
            }),
            network: Network { private_networks: settings.private_networks.clone(), ca_bundle_pem: None },
            limits: OriginLimits { request_timeout_ms: 1000, response_bytes: 1000 },
            catalog_sharing: CatalogSharing::Private,
        }],
        routes: vec![RouteConfig {
            uid: "route-uid".into(),
            name: "default/accounts".into(),
            slug: "accounts".into(),
            display_name: String::new(),
            description: String::new(),
            suspended: false,
            identity_provider: "company".into(),
            origin: settings.uid.into(),
            capabilities: portcullis_config::Capabilities::default(),
            access: portcullis_config::Access::Everyone,
        }],
        teams: Vec::new(),
        secrets,
    };
    Arc::new(RouteTable::build(&config, 1).unwrap())
}

/// Id of the client that the provider recognizes.
pub(crate) fn by_hand() -> RegisteredClient {
    client("by-hand")
}

fn client(id: &str) -> RegisteredClient {
    RegisteredClient {
        id: id.into(),
        secret: Some(SecretKey("default/client/secret".into())),
        token_endpoint_auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
        key_id: None,
    }
}

pub(crate) fn ana() -> PrincipalId {
    PrincipalId::of("company", "ana")
}

impl Harness {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::on(Store::in_memory().await.unwrap(), settings).await
    }

    pub(crate) async fn on(store: Store, settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keyring::open_or_create(folder.path(), &Random::system()).unwrap());
        let clock = Clock::manual(UnixMillis(1_700_000_000_000));
        let provider = Provider::start().await;
        let table = table(&provider.base, &settings);
        let identities = settings.identities.map(|identities| identities(&provider.base));
        let (broker, events) = broker(&store, &keys, &clock, identities.clone());
        Self { provider, broker, store, keys, clock, table, events, identities, folder }
    }

    /// Content of the key file.
    pub(crate) fn keys_file(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("keys.json")).unwrap()
    }

    /// Checks that replicas without a cached token use a one-hour token until its last minute, then another.
    pub(crate) async fn replaces_in_its_last_minute(&self) {
        let first = self.token().await;
        for (passed, is_first) in [(3_539_999, true), (1, false)] {
            self.clock.advance(Duration::from_millis(passed));
            let found = self.replica().credential(&ana(), &self.origin()).await.ok().unwrap();
            assert_eq!(token(&found) == first, is_first, "after {passed} ms");
        }
    }

    /// Another replica: its own cache, the same store and keys.
    pub(crate) fn replica(&self) -> CredentialBroker {
        self.replica_on(&self.store)
    }

    /// Another replica with its own pool of database connections.
    pub(crate) fn replica_on(&self, store: &Store) -> CredentialBroker {
        broker(store, &self.keys, &self.clock, self.identities.clone()).0
    }

    pub(crate) fn origin(&self) -> Arc<Origin> {
        Arc::clone(self.table.origin("o1").unwrap())
    }

    pub(crate) async fn begin(&self) -> Result<Url, ConnectError> {
        let gateway = &self.table.gateway;
        self.broker.connect_flows.begin(&ana(), gateway, &self.origin(), BROWSER, "/back").await
    }

    pub(crate) async fn finish(&self, callback: &ConnectCallback) -> Result<CompletedConnect, ConnectError> {
        self.broker.connect_flows.finish(&self.table.gateway, &self.origin(), BROWSER, callback).await
    }

    /// Connects an account from begin to finish, as a user does.
    pub(crate) async fn connect(&self) {
        let url = self.begin().await.unwrap();
        let finished = self.finish(&self.provider.consent(&url)).await.unwrap();
        assert_eq!((finished.who, finished.return_to.as_str()), (ana(), "/back"));
    }

    pub(crate) async fn token(&self) -> String {
        token(&self.broker.credential(&ana(), &self.origin()).await.ok().unwrap())
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn broker(
    store: &Store,
    keys: &Arc<Keyring>,
    clock: &Clock,
    identities: Option<Arc<dyn IdentityTokenSource>>,
) -> (CredentialBroker, RecordedEvents) {
    let (events, writer) = EventSink::in_memory();
    let broker = CredentialBroker::new(BrokerDependencies {
        store: store.clone(),
        keys: Arc::clone(keys),
        http: HttpClients::new(),
        identities,
        clock: clock.clone(),
        random: Random::system(),
        events,
    });
    (broker, writer)
}

pub(crate) fn token(credential: &Credential) -> String {
    let (name, value) = credential.header().unwrap();
    assert_eq!(name, "authorization");
    assert!(value.is_sensitive());
    value.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
