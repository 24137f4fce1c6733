//! Registration at an origin's authorization server, against a real one on loopback (RFC 7591; MCP,
//! basic/authorization/client-registration).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use http::StatusCode;
use portcullis_origin_auth::{ConnectError, CredentialBroker};
use serde_json::{Value, json};
use support::{BROWSER, Harness, Settings, ana, parameter};

const BASIC: [&str; 1] = ["client_secret_basic"];
const POST: [&str; 1] = ["client_secret_post"];
const NONE: [&str; 1] = ["none"];

/// Begins to connect and returns the client id in the authorization request.
async fn client(broker: &CredentialBroker, world: &Harness) -> String {
    let url = broker
        .connect_flows
        .begin(&ana(), &world.table.gateway, &world.origin(), BROWSER, "/")
        .await
        .unwrap();
    parameter(&url, "client_id").unwrap()
}

/// A server with these authentication methods, which replaces fields of its registration responses.
async fn answering(methods: [&str; 1], registered: Value) -> Harness {
    let world = Harness::new().await;
    {
        let mut levers = world.provider.levers.lock();
        levers.server = json!({ "token_endpoint_auth_methods_supported": methods });
        levers.registered = registered;
    }
    world
}

fn registrations(world: &Harness) -> usize {
    world.provider.levers.lock().registrations.len()
}

fn kinds(world: &Harness) -> Vec<String> {
    let registrations = &world.provider.levers.lock().registrations;
    registrations.iter().map(|each| each["application_type"].as_str().unwrap().to_owned()).collect()
}

fn seconds(world: &Harness) -> i64 {
    world.clock.now().0 / 1000
}

#[tokio::test]
async fn given_a_document_that_the_server_would_not_take_or_could_not_fetch_then_the_gateway_registers() {
    let (public, local) = ("https://mcp.example.com", "http://127.0.0.1:8080");
    for (public_url, reads_documents, method, kind) in [
        (public, false, "none", "web"),
        (public, true, "client_secret_basic", "web"),
        (local, true, "none", "native"),
    ] {
        let world = Harness::with(Settings { public_url, ..Settings::default() }).await;
        world.provider.levers.lock().server = json!({
            "client_id_metadata_document_supported": reads_documents,
            "token_endpoint_auth_methods_supported": [method],
        });
        assert!(client(&world.broker, &world).await.starts_with("plain-client"), "{public_url} {method}");
        assert_eq!(kinds(&world), [kind]);
    }
}

#[tokio::test]
async fn given_another_replica_then_it_asks_whether_the_server_knows_the_registration_until_it_has_an_answer()
{
    let world = Harness::new().await;
    let first = client(&world.broker, &world).await;
    let replica = world.replica();
    for _ in 0..2 {
        assert_eq!(client(&replica, &world).await, first);
        assert_eq!(world.provider.requests("authorization_code").len(), 1, "asked once");
    }
    let replica = world.replica();
    world.provider.levers.lock().down = true;
    assert_eq!(client(&replica, &world).await, first, "nothing says that it is not known");
    world.provider.levers.lock().down = false;
    world.provider.levers.lock().clients.clear();
    assert_ne!(client(&replica, &world).await, first);
}

#[tokio::test]
async fn given_a_server_that_chooses_how_the_gateway_authenticates_then_it_does_so() {
    let (secret, unsaid) = ("plain-chosen-secret", "token_endpoint_auth_method");
    for (asked, registered, method) in [
        (NONE, json!({unsaid: null}), "none"),
        (NONE, json!({unsaid: null, "client_secret": secret}), "client_secret_basic"),
        (NONE, json!({unsaid: "client_secret_post", "client_secret": secret}), "client_secret_post"),
        (POST, json!({unsaid: null}), "client_secret_post"),
        (BASIC, json!({unsaid: "none", "client_secret": null}), "none"),
    ] {
        let world = answering(asked, registered.clone()).await;
        world.connect().await;
        let row = world.store.connection(ana().as_str(), "origin-uid").await.unwrap().unwrap();
        assert_eq!(row.auth_method, method, "{registered}");
    }
}

#[tokio::test]
async fn given_an_answer_that_makes_nobody_a_client_then_it_is_not_kept() {
    for (registered, told) in [
        (json!({"client_id": null}), "returned no client_id"),
        (json!({"client_id": ""}), "returned no client_id"),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            "an authentication method that the gateway does not support",
        ),
        (json!({"client_secret": null}), "returned no client_secret"),
        (json!({"client_secret": ""}), "returned no client_secret"),
    ] {
        let world = answering(BASIC, registered).await;
        for times in 1..=2 {
            let error = world.begin().await.unwrap_err();
            assert!(
                matches!(error, ConnectError::Registration(_)) && error.to_string().contains(told),
                "{error}"
            );
            assert_eq!(registrations(&world), times);
        }
    }
}

#[tokio::test]
async fn given_a_secret_that_expires_then_nobody_is_sent_away_with_it_in_its_last_fifteen_minutes() {
    let world = answering(BASIC, json!({})).await;
    let expires_at = seconds(&world) + 3600;
    world.provider.levers.lock().registered = json!({ "client_secret_expires_at": expires_at });
    world.connect().await;
    world.advance(3600 - 900 - 1);
    world.connect().await;
    assert_eq!(registrations(&world), 1);
    world.advance(1);
    world.connect().await;
    assert_eq!(registrations(&world), 2);
}

#[tokio::test]
async fn given_a_secret_for_ever_or_none_that_could_expire_then_the_registration_serves_for_years() {
    for (methods, expires_at) in [(BASIC, 0), (POST, 0), (NONE, 0), (NONE, 1), (NONE, 1_700_003_600)] {
        let world = answering(methods, json!({ "client_secret_expires_at": expires_at })).await;
        world.connect().await;
        world.advance(10 * 365 * 86_400);
        world.connect().await;
        assert_eq!(registrations(&world), 1, "{methods:?} {expires_at}");
    }
}

#[tokio::test]
async fn given_a_secret_that_nobody_wants_to_be_shown_then_it_is_not_kept_and_may_expire() {
    let registered = json!({
        "token_endpoint_auth_method": "none",
        "client_secret": "plain-unused",
        "client_secret_expires_at": seconds(&Harness::new().await) + 3600,
    });
    let world = answering(BASIC, registered).await;
    let id = client(&world.broker, &world).await;
    world.provider.levers.lock().clients.insert(id, None);
    for _ in 0..2 {
        world.connect().await;
        world.advance(3600);
    }
    assert_eq!(registrations(&world), 1);
    assert!(!world.provider.received().contains("plain-unused"));
}

/// OpenID Connect Registration, section 2: for servers that accept a redirect URI for one application type
/// only.
#[tokio::test]
async fn given_a_server_that_takes_the_gateway_for_another_kind_of_application_then_it_is_asked_once_more() {
    for (public_url, asked) in
        [("http://127.0.0.1:8080", ["native", "web"]), ("https://mcp.example.com", ["web", "native"])]
    {
        let world = Harness::with(Settings { public_url, ..Settings::default() }).await;
        let first: &'static [&'static str] = if asked[0] == "web" { &["web"] } else { &["native"] };
        world.provider.levers.lock().unwelcome = Some((StatusCode::BAD_REQUEST, first));
        world.connect().await;
        assert_eq!(kinds(&world), asked);
    }
    for (status, times) in [(StatusCode::BAD_REQUEST, 2), (StatusCode::FORBIDDEN, 1)] {
        let world = Harness::new().await;
        world.provider.levers.lock().unwelcome = Some((status, &["native", "web"]));
        let error = world.begin().await.unwrap_err().to_string();
        let told = "127.0.0.1 refused to register the gateway (invalid_client_metadata); an administrator";
        assert!(error.contains(told), "{error}");
        assert_eq!(kinds(&world).len(), times, "{status}");
    }
}
