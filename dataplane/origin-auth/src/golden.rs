//! Golden tests of stored connections. Envelopes of earlier versions must stay readable.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_config::{OriginAuth, TokenEndpointAuthMethod as Method};
use portcullis_egress::{EgressError, HttpClients};
use portcullis_events::EventSink;
use portcullis_golden::config::{config, gateway, origin, route, with};
use portcullis_golden::{assert_golden, derived_key_document};
use portcullis_keyring::{Keyring, Purpose};
use portcullis_policy::RouteTable;
use portcullis_store::{ConnectionRow, Store};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::audit::Failure;
use crate::client::{RegistrationMethod, auth_method_name};
use crate::connection::{Tokens, exchange_fingerprint};
use crate::sealer::CredentialSealer;
use crate::{BrokerDependencies, ConnectError};

const PURPOSES: [(&str, Purpose); 5] = [
    ("credential", Purpose::Credential),
    ("mcp-session", Purpose::McpSession),
    ("browser", Purpose::Browser),
    ("publication", Purpose::PublishedConfig),
    ("provider", Purpose::IdentityProvider),
];

/// A sealed value: its name, the associated data, and the envelope that this version creates.
pub(crate) type Sealed<'a> = (&'a str, &'a [&'a str], String);

/// Fixed key rings.
pub(crate) fn keys() -> Arc<Keyring> {
    Arc::new(Keyring::from_json(derived_key_document().as_bytes()).unwrap())
}

/// Compares the content of envelopes with a golden file, and opens the envelopes in that file.
pub(crate) fn assert_sealed(file: &str, values: &[Sealed<'_>]) {
    let path = format!("{}/../../tests/golden/files/{file}", env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read(path).unwrap_or_default();
    let kept: Value = serde_json::from_slice(&kept).unwrap_or_default();
    let keys = keys();
    let open = |bound_to: &[&str], sealed: &str| {
        let envelope = URL_SAFE_NO_PAD.decode(sealed).unwrap();
        PURPOSES.into_iter().find_map(|(name, purpose)| {
            let text = keys.sealing.open(purpose, bound_to, &envelope).ok()?;
            Some((name, String::from_utf8(text.to_vec()).unwrap()))
        })
    };
    let mut golden = Map::new();
    for (name, bound_to, fresh) in values {
        let sealed = kept[*name]["sealed"].as_str().unwrap_or(fresh);
        let (purpose, text) = open(bound_to, fresh).expect("it is sealed for this purpose");
        assert_eq!(open(bound_to, sealed), Some((purpose, text.clone())), "{name} of an earlier build");
        let entry = json!({"purpose": purpose, "bound_to": bound_to, "text": text, "sealed": sealed});
        golden.insert((*name).to_owned(), entry);
    }
    assert_golden(file, &pretty(&Value::Object(golden)));
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

pub(crate) fn table() -> Arc<RouteTable> {
    let origin = with(
        origin("origin-uid"),
        json!({
            "id": "origin-id", "name": "mcp/o", "displayName": "O",
            "auth": {"userOAuth": {"scopes": [], "registration": "auto"}},
        }),
    );
    let route = with(route("route", "r", "origin-uid"), json!({"name": "mcp/r", "displayName": "R"}));
    let config = config(gateway(), vec![origin], vec![route]);
    Arc::new(RouteTable::build(&serde_json::from_value(config).unwrap(), 1).unwrap())
}

pub(crate) async fn dependencies() -> BrokerDependencies {
    BrokerDependencies {
        store: Store::in_memory().await.unwrap(),
        keys: keys(),
        http: HttpClients::new(),
        identities: None,
        clock: Clock::manual(UnixMillis(1_790_000_000_000)),
        random: Random::system(),
        events: EventSink::new().0,
    }
}

fn row() -> ConnectionRow {
    ConnectionRow {
        principal_id: "principal-id".into(),
        origin_uid: "origin-uid".into(),
        origin_url: "https://origin.example/mcp".into(),
        resource: "https://origin.example/resource".into(),
        issuer: "https://as.example".into(),
        token_endpoint: "https://as.example/token".into(),
        revocation_endpoint: None,
        client_id: "client-id".into(),
        registration: "dynamic".into(),
        auth_method: "none".into(),
        scope: "read".into(),
        sealed: String::new(),
        issued_at: 1,
        expires_at: None,
        dead: 0,
        revision: "revision".into(),
        leased_until: 0,
        connected_at: 1,
        last_used_at: None,
    }
}

#[tokio::test]
async fn stored_tokens_open_as_before() {
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    let all = Tokens {
        access: secret("access-token"),
        refresh: Some(secret("refresh-token")),
        client_secret: Some(secret("client-secret")),
    };
    let access = Tokens { access: secret("access-token"), refresh: None, client_secret: None };
    let sealer = CredentialSealer::new(&dependencies().await);
    let seal = |tokens: &Tokens| tokens.seal(&sealer, &row()).unwrap();
    let bound_to = [
        "connection",
        "principal-id",
        "origin-uid",
        "https://as.example",
        "https://origin.example/mcp",
        "https://as.example/token",
        "client-id",
    ];
    let values = [("all", &bound_to[..], seal(&all)), ("access token alone", &bound_to[..], seal(&access))];
    assert_sealed("origin-auth/stored-tokens.json", &values);
}

#[test]
fn values_of_stored_columns_are_stable() {
    let registrations =
        [RegistrationMethod::Configured, RegistrationMethod::Document, RegistrationMethod::Dynamic];
    let methods = [Method::None, Method::ClientSecretBasic, Method::ClientSecretPost, Method::PrivateKeyJwt];
    let client = json!({
        "id": "client-id", "secret": "mcp/secret/key", "token_endpoint_auth_method": "client_secret_basic",
    });
    let exchange = json!({"tokenExchange": {
        "server": {"issuer": "https://as.example"}, "client": client, "audience": "audience", "scopes": ["read"],
        "subject_token": "id_token", "subject_hosts": null,
    }});
    let exchange: OriginAuth = serde_json::from_value(exchange).unwrap();
    let values = json!({
        "connections.registration": registrations.map(RegistrationMethod::as_str),
        "connections.registration of an exchanged token": exchange_fingerprint(&exchange),
        "connections.auth_method": methods.map(auth_method_name),
    });
    assert_golden("origin-auth/stored-values.json", &pretty(&values));
}

#[test]
fn reasons_of_failed_connecting_are_stable() {
    let text = String::new;
    let errors = [
        ConnectError::NotNeeded,
        ConnectError::UnknownFlow,
        ConnectError::OriginChanged,
        ConnectError::WrongIssuer,
        ConnectError::Refused(text()),
        ConnectError::NoToken(text().into()),
        ConnectError::Discovery(text()),
        ConnectError::Registration(text().into()),
        ConnectError::Outbound(EgressError::Url("")),
        ConnectError::Unavailable(text().into()),
    ];
    let reasons = errors.iter().map(|error| {
        let failure = Failure::from(error);
        json!({"reason": failure.reason, "outcome": failure.outcome})
    });
    assert_golden("origin-auth/connect-reasons.json", &pretty(&reasons.collect()));
}
