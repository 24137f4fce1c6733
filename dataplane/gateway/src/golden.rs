//! A gateway for golden tests: fixed keys, a manual clock, one route and one user.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use portcullis_authorization_server::{AuthorizationServer, AuthorizationServerDependencies};
use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_egress::HttpClients;
use portcullis_events::EventSink;
use portcullis_golden::config::{config, gateway, origin, route, with};
use portcullis_golden::{assert_golden, derived_key_document};
use portcullis_identity_providers::{IdentityProviders, IdentityProvidersDependencies};
use portcullis_jwt_verification::JwtVerifier;
use portcullis_keyring::{Keyring, Purpose};
use portcullis_origin_auth::{BrokerDependencies, CredentialBroker};
use portcullis_policy::{Principal, RouteTable, RouteTableHandle};
use portcullis_portal::{Portal, PortalDependencies};
use portcullis_store::Store;
use serde_json::{Map, Value, json};

use crate::catalog::Catalogs;
use crate::limits::{LimitSettings, Limits};
use crate::pipeline::{Context, DeferredSessions};
use crate::shutdown::Shutdown;

const PURPOSES: [(&str, Purpose); 5] = [
    ("credential", Purpose::Credential),
    ("mcp-session", Purpose::McpSession),
    ("browser", Purpose::Browser),
    ("publication", Purpose::PublishedConfig),
    ("provider", Purpose::IdentityProvider),
];

/// A sealed value: its name, the data that it is bound to, and the envelope that this build produces, in
/// base64url.
pub(crate) type Sealed<'a> = (&'a str, &'a [&'a str], String);

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// Fixed key rings.
pub(crate) fn keys() -> Arc<Keyring> {
    Arc::new(Keyring::from_json(derived_key_document().as_bytes()).unwrap())
}

/// Compares the content of envelopes with a golden file. Opens the envelopes that the file keeps and returns
/// them by name.
pub(crate) fn assert_sealed(file: &str, values: &[Sealed<'_>]) -> Vec<(String, String)> {
    let path = format!("{}/../../tests/golden/files/{file}", env!("CARGO_MANIFEST_DIR"));
    let kept: Value = serde_json::from_slice(&std::fs::read(path).unwrap_or_default()).unwrap_or_default();
    let keys = keys();
    let open = |bound_to: &[&str], sealed: &str| {
        let envelope = URL_SAFE_NO_PAD.decode(sealed).unwrap();
        PURPOSES.into_iter().find_map(|(name, purpose)| {
            let text = keys.sealing.open(purpose, bound_to, &envelope).ok()?;
            Some((name, String::from_utf8(text.to_vec()).unwrap()))
        })
    };
    let (mut golden, mut envelopes) = (Map::new(), Vec::new());
    for (name, bound_to, fresh) in values {
        let sealed = kept[*name]["sealed"].as_str().unwrap_or(fresh);
        let (purpose, text) = open(bound_to, fresh).expect("it is bound to this");
        assert_eq!(open(bound_to, sealed), Some((purpose, text.clone())), "{name} of an earlier build");
        let entry = json!({"purpose": purpose, "bound_to": bound_to, "text": text, "sealed": sealed});
        golden.insert((*name).to_owned(), entry);
        envelopes.push(((*name).to_owned(), sealed.to_owned()));
    }
    assert_golden(file, &pretty(&Value::Object(golden)));
    envelopes
}

pub(crate) fn table() -> Arc<RouteTable> {
    table_with(|_| {})
}

/// Like [`table`], with changed documents.
pub(crate) fn table_with(change: impl FnOnce(&mut Value)) -> Arc<RouteTable> {
    let origin = with(
        origin("origin-uid"),
        json!({
            "id": "origin-id", "name": "mcp/o", "displayName": "O",
            "network": {"privateNetworks": ["127.0.0.0/8"], "caBundlePem": null},
        }),
    );
    let route = with(route("route-uid", "r", "origin-uid"), json!({"name": "mcp/r", "displayName": "R"}));
    let mut config = config(gateway(), vec![origin], vec![route]);
    change(&mut config);
    Arc::new(RouteTable::build(&serde_json::from_value(config).unwrap(), 1).unwrap())
}

/// Request headers of Ana's client.
pub(crate) fn headers(context: &Context) -> HeaderMap {
    let (url, now) = ("https://gateway.example/mcp/r", context.clock.now().seconds());
    let claims = json!({
        "iss": url, "aud": url, "sub": ana().id.as_str(), "client_id": "pc_client_x", "client_name": "Client", "jti": "jti",
        "iat": now, "exp": now + 900, "scope": "mcp", "grant": "grant-id", "route": "route-uid",
    });
    let token = context.keys.signing.sign("at+jwt", &claims).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap())])
}

pub(crate) fn ana() -> Principal {
    Principal::new("company", "ana", None, None, ["finance"])
}

pub(crate) async fn context() -> Context {
    let (store, keys, http) = (Store::in_memory().await.unwrap(), keys(), HttpClients::new());
    let (clock, random) = (Clock::manual(UnixMillis(1_790_000_000_000)), Random::system());
    let (tables, events) = (RouteTableHandle::default(), EventSink::new().0);
    tables.swap(table());
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
    identity.feed_reader.read().await.unwrap();
    identity.principals.save(&ana()).await.unwrap();
    let broker = CredentialBroker::new(BrokerDependencies {
        store: store.clone(),
        keys: Arc::clone(&keys),
        http,
        identities: None,
        clock: clock.clone(),
        random: random.clone(),
        events: events.clone(),
    });
    let portal = Portal::new(PortalDependencies {
        tables: tables.clone(),
        clients: identity.clients,
        codes: identity.codes,
        principals: identity.principals,
        revocation: identity.revocation,
        broker: broker.clone(),
        store: store.clone(),
        keys: Arc::clone(&keys),
        providers,
        clock: clock.clone(),
        random: random.clone(),
        events: events.clone(),
    });
    let catalogs = Catalogs::load(store.clone(), clock.clone()).await.unwrap();
    let (late, ending) = (DeferredSessions::default(), Shutdown::default());
    Context {
        tables,
        access_tokens: identity.access_tokens,
        portal,
        broker,
        store,
        keys,
        catalogs,
        deferred_sessions: late,
        clock,
        random,
        events,
        shutdown: ending,
        limits: Arc::new(Limits::new(LimitSettings::default())),
    }
}
