//! Golden tests of cookies, of sealed browser state, and of the error codes and states of the API.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_authorization_server::{AuthorizationServer, AuthorizationServerDependencies};
use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_egress::HttpClients;
use portcullis_events::EventSink;
use portcullis_golden::config::{config, gateway, with};
use portcullis_golden::{assert_golden, derived_key_document};
use portcullis_identity_providers::{IdentityProviders, IdentityProvidersDependencies};
use portcullis_jwt_verification::JwtVerifier;
use portcullis_keyring::{Keyring, Purpose, digest};
use portcullis_origin_auth::{BrokerDependencies, ConnectionStatus, CredentialBroker};
use portcullis_policy::{RouteTable, RouteTableHandle};
use portcullis_store::Store;
use serde_json::{Value, json};

use crate::account::user_connection::state;
use crate::cookies::CookieKind;
use crate::error::PortalError;
use crate::sign_in::start::{self, SignInStart};
use crate::{Portal, PortalDependencies};

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// Fixed key rings.
fn keys() -> Arc<Keyring> {
    Arc::new(Keyring::from_json(derived_key_document().as_bytes()).unwrap())
}

/// The content of a browser envelope that is bound to `bound_to`.
pub(crate) fn opened(portal: &Portal, bound_to: &[&str], sealed: &str) -> Value {
    let envelope = URL_SAFE_NO_PAD.decode(sealed).unwrap();
    let text = portal.keys.sealing.open(Purpose::Browser, bound_to, &envelope).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn table(public_url: &str) -> Arc<RouteTable> {
    let tokens = json!({"accessSeconds": 900, "refreshSeconds": 3600, "sessionSeconds": 28_800});
    let gateway = with(gateway(), json!({"publicUrl": public_url, "tokens": tokens}));
    let config = config(gateway, Vec::new(), Vec::new());
    Arc::new(RouteTable::build(&serde_json::from_value(config).unwrap(), 1).unwrap())
}

pub(crate) async fn portal() -> Portal {
    let (store, keys, http) = (Store::in_memory().await.unwrap(), keys(), HttpClients::new());
    let (clock, random) = (Clock::manual(UnixMillis(1_790_000_000_000)), Random::system());
    let (tables, events) = (RouteTableHandle::default(), EventSink::new().0);
    tables.swap(table("http://127.0.0.1:8080"));
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
        http,
        identities: None,
        clock: clock.clone(),
        random: random.clone(),
        events: events.clone(),
    });
    Portal::new(PortalDependencies {
        tables,
        clients: identity.clients,
        codes: identity.codes,
        principals: identity.principals,
        revocation: identity.revocation,
        broker,
        store,
        keys,
        providers,
        clock,
        random,
        events,
    })
}

#[tokio::test]
async fn form_tokens_and_sign_ins_are_sealed_as_before() {
    let portal = portal().await;
    let token = portal.form_token("form", "subject", "binding").unwrap();
    let form = ["form", "form", "subject", "binding"];
    let form = json!({"purpose": "browser", "bound_to": form, "text": opened(&portal, &form, &token)});
    let table = portal.table().unwrap();
    let begin = SignInStart {
        provider: &table.gateway.identity_providers[0],
        browser: "browser-digest",
        return_to: "/connections",
        another_account: false,
    };
    let url = start::begin(&portal, &table.gateway, &begin).await.unwrap();
    let id = digest(url.split_once("state=").unwrap().1);
    let row = portal.store.sign_in(&id, "browser-digest", 0).await.unwrap().unwrap();
    let mut details = opened(&portal, &["sign-in", &id, "browser-digest"], &row.details);
    for name in ["nonce", "verifier"] {
        details[name] = format!("<{} characters>", details[name].as_str().unwrap().len()).into();
    }
    let bound_to = ["sign-in", "<digest of the state>", "browser-digest"];
    let sign_in = json!({"purpose": "browser", "bound_to": bound_to, "text": details});
    assert_golden("portal/sealed.json", &pretty(&json!({"form token": form, "sign-in": sign_in})));
}

#[test]
fn cookies_have_their_names_and_attributes() {
    let cookies = ["https://gateway.example", "http://127.0.0.1:8080"].map(|public_url| {
        let gateway = &table(public_url).gateway;
        let text = |value: http::HeaderValue| value.to_str().unwrap().to_owned();
        let of = |kind: CookieKind| {
            json!([text(kind.set(gateway, "<value>").unwrap()), text(kind.clear(gateway).unwrap())])
        };
        (
            public_url.to_owned(),
            json!({"browser": of(CookieKind::Browser), "session": of(CookieKind::Session)}),
        )
    });
    assert_golden("portal/cookies.json", &pretty(&cookies.into_iter().collect()));
}

#[test]
fn errors_and_states_of_the_api_have_their_words() {
    let text = String::new;
    let failures = [
        PortalError::NotServing,
        PortalError::Unavailable,
        PortalError::Busy,
        PortalError::NotFound,
        PortalError::UnknownRoute,
        PortalError::Suspended(text()),
        PortalError::Client(text()),
        PortalError::InvalidForm,
        PortalError::RequestExpired,
        PortalError::WrongBrowser,
        PortalError::UnknownSignIn,
        PortalError::SignInRefused { provider: text(), reason: text(), back: None },
        PortalError::ProviderUnavailable { provider: text(), back: None },
        PortalError::InvalidProviderResponse { provider: text(), reason: text() },
        PortalError::NotLoopback,
        PortalError::LinkExpired,
        PortalError::WrongAccount(text()),
        PortalError::NoAccess { account: text(), route: text() },
        PortalError::NotSignedIn,
        PortalError::NotAdmin(text()),
        PortalError::Connect { error: text(), passing: true, back: None },
        PortalError::Connect { error: text(), passing: false, back: None },
    ];
    let states = [
        ConnectionStatus::NotNeeded,
        ConnectionStatus::Connected,
        ConnectionStatus::NeverConnected,
        ConnectionStatus::ReconnectNeeded,
        ConnectionStatus::AdminNeeded,
        ConnectionStatus::SignInNeeded,
    ];
    let errors = failures.map(|it| json!({"error": it.code(), "status": it.status().as_u16()}));
    let golden = json!({"errors": errors, "connection states": states.map(state)});
    assert_golden("portal/words.json", &pretty(&golden));
}
