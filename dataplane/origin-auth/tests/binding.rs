//! Credentials are only used with the origin, the authorization server and the client that they were granted
//! for (MCP, basic/authorization/client-registration, "Authorization Server Binding"; RFC 7009).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_events::{EventKind, Outcome};
use portcullis_origin_auth::{ConnectError, ConnectionStatus, CredentialBroker, CredentialError};
use portcullis_policy::{Origin, PrincipalId, RouteTable};
use portcullis_store::OriginClientRow;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use support::provider::Provider;
use support::{BROWSER, Harness, Settings, ana, parameter, table};
use url::Url;

struct MovedOrigin {
    table: Arc<RouteTable>,
}

impl MovedOrigin {
    fn origin(&self) -> Arc<Origin> {
        Arc::clone(self.table.origin("o1").unwrap())
    }

    async fn begin(&self, broker: &CredentialBroker) -> Url {
        broker.connect_flows.begin(&ana(), &self.table.gateway, &self.origin(), BROWSER, "/").await.unwrap()
    }

    async fn finish(&self, broker: &CredentialBroker, provider: &Provider, url: &Url) {
        let callback = provider.consent(url);
        broker.connect_flows.finish(&self.table.gateway, &self.origin(), BROWSER, &callback).await.unwrap();
    }
}

async fn status(broker: &CredentialBroker, origin: &Arc<Origin>) -> ConnectionStatus {
    match broker.credential(&ana(), origin).await {
        Ok(_) => ConnectionStatus::Connected,
        Err(CredentialError::NotConnected(status)) => status,
        Err(error) => panic!("{error}"),
    }
}

fn has_none_of(provider: &Provider, secrets: &[String]) {
    let received = provider.received();
    assert!(!secrets.is_empty());
    for secret in secrets {
        assert!(!received.contains(secret), "{secret} in {received}");
    }
}

/// Requirements: client.url-changed
#[tokio::test]
async fn given_another_url_then_the_new_place_receives_nothing_of_the_old_and_that_is_revoked_where_it_came_from()
 {
    let world = Harness::new().await;
    world.connect().await;
    world.token().await;
    let elsewhere = Provider::start().await;
    // Both providers number their tokens alike, so skip ahead to tell them apart.
    elsewhere.levers.lock().skip(100);
    let moved = MovedOrigin { table: table(&elsewhere.base, &Settings::default()) };
    assert_eq!(status(&world.broker, &moved.origin()).await, ConnectionStatus::ReconnectNeeded);
    assert!(world.provider.levers.lock().revoked.is_empty(), "the old URL may come back");
    let url = moved.begin(&world.broker).await;
    assert_eq!(status(&world.broker, &world.origin()).await, ConnectionStatus::NeverConnected);
    let granted = world.provider.levers.lock().issued.clone();
    let mut revoked = world.provider.revoked(2).await;
    revoked.reverse();
    assert_eq!(revoked, granted, "the refresh token first");
    moved.finish(&world.broker, &elsewhere, &url).await;
    assert_eq!(status(&world.broker, &moved.origin()).await, ConnectionStatus::Connected);
    world.advance(3600);
    assert_eq!(status(&world.broker, &moved.origin()).await, ConnectionStatus::Connected);
    has_none_of(&elsewhere, &granted);
    let given_there = elsewhere.levers.lock().issued.clone();
    has_none_of(&world.provider, &given_there);
}

/// Requirements: client.registration.issuer
#[tokio::test]
async fn given_another_issuer_then_it_receives_nothing_of_the_first_nor_does_the_origin_from_then_on() {
    let world = Harness::new().await;
    world.provider.levers.lock().server =
        json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
    world.connect().await;
    let granted = world.provider.levers.lock().issued.clone();
    assert!(granted.iter().any(|secret| secret.contains("client-secret")));
    let second = Provider::start().await;
    second.levers.lock().skip(100);
    world.provider.levers.lock().resource = json!({"authorization_servers": [second.issuer()]});
    let url = world.begin().await.unwrap();
    assert!(url.as_str().starts_with(&second.issuer()));
    assert_eq!(status(&world.broker, &world.origin()).await, ConnectionStatus::NeverConnected);
    assert_eq!(world.provider.revoked(2).await.len(), 2);
    let moved = MovedOrigin { table: Arc::clone(&world.table) };
    moved.finish(&world.broker, &second, &url).await;
    world.advance(3600);
    assert_eq!(status(&world.broker, &world.origin()).await, ConnectionStatus::Connected);
    assert_eq!(second.refreshes(), 1);
    has_none_of(&second, &granted);
    let given_there = second.levers.lock().issued.clone();
    has_none_of(&world.provider, &given_there);
}

/// Requirements: client.revoked
#[tokio::test]
async fn given_one_of_several_issuers_when_a_consent_goes_to_another_then_the_old_grant_serves_till_then_and_is_revoked()
 {
    let world = Harness::new().await;
    world.connect().await;
    let second = Provider::start().await;
    let both = json!({"authorization_servers": [second.issuer(), world.provider.issuer()]});
    world.provider.levers.lock().resource = both;
    let url = world.begin().await.unwrap();
    assert_eq!(status(&world.broker, &world.origin()).await, ConnectionStatus::Connected);
    assert!(world.provider.levers.lock().revoked.is_empty());
    MovedOrigin { table: Arc::clone(&world.table) }.finish(&world.broker, &second, &url).await;
    assert_eq!(world.provider.revoked(2).await.len(), 2);
    assert_eq!(status(&world.broker, &world.origin()).await, ConnectionStatus::Connected);
}

/// Requirements: client.revoked
#[tokio::test]
async fn given_a_new_consent_to_the_same_client_then_nothing_is_revoked_for_that_might_end_both() {
    let world = Harness::new().await;
    world.connect().await;
    world.connect().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(world.provider.levers.lock().revoked.is_empty());
    world.advance(3600);
    world.token().await;
}

/// Requirements: client.revoked
#[tokio::test]
async fn given_another_client_by_hand_then_its_secret_is_not_shown_for_what_was_given_to_the_first() {
    let world = Harness::with(Settings::registered_by_hand(&["127.0.0.1"])).await;
    world.connect().await;
    let other = Settings::registered_as("another", &["127.0.0.1"]);
    let moved = MovedOrigin { table: table(&world.provider.base, &other) };
    assert_eq!(parameter(&moved.begin(&world.broker).await, "client_id").as_deref(), Some("another"));
    let event = event(&world, EventKind::Disconnected).await;
    assert_eq!((event.0, event.1.as_deref()), (Outcome::UpstreamError, Some("not_revoked_at_origin")));
    assert!(world.provider.levers.lock().revoked.is_empty());
    assert!(!world.provider.received().contains("/tenant/revoke"));
}

#[tokio::test]
async fn given_a_client_by_hand_then_only_what_was_granted_to_it_by_hand_is_still_good() {
    let by_hand = |id: &str| Settings::registered_as(id, &["127.0.0.1"]);
    for (settings, then, still) in [
        (by_hand("by-hand"), by_hand("by-hand"), ConnectionStatus::Connected),
        (by_hand("by-hand"), by_hand("another"), ConnectionStatus::ReconnectNeeded),
        (by_hand("by-hand"), Settings::default(), ConnectionStatus::ReconnectNeeded),
        // A client registered by hand takes over the id of the earlier registration.
        (Settings::default(), by_hand("plain-client-1"), ConnectionStatus::ReconnectNeeded),
    ] {
        let world = Harness::with(settings).await;
        world.connect().await;
        let then = MovedOrigin { table: table(&world.provider.base, &then) };
        assert_eq!(status(&world.replica(), &then.origin()).await, still);
        assert_eq!(status(&world.replica(), &world.origin()).await, ConnectionStatus::Connected);
    }
}

/// Requirements: client.revoked
#[tokio::test]
async fn given_a_row_whose_revocation_endpoint_was_changed_then_no_token_is_sent_there() {
    let world = Harness::new().await;
    world.connect().await;
    let elsewhere = Provider::start().await;
    let mut row = world.store.connection(ana().as_str(), "origin-uid").await.unwrap().unwrap();
    row.revocation_endpoint = Some(format!("{}/revoke", elsewhere.issuer()));
    world.store.put_connection(&row).await.unwrap();
    world.broker.disconnector.disconnect(&ana(), &world.origin()).await.unwrap();
    assert!(elsewhere.levers.lock().heads.is_empty());
    let event = event(&world, EventKind::Disconnected).await;
    assert_eq!((event.0, event.1.as_deref()), (Outcome::UpstreamError, Some("not_revoked_at_origin")));
}

#[tokio::test]
async fn given_a_registration_in_the_store_when_it_is_made_out_to_another_issuer_then_its_secret_is_not_sent_there()
 {
    let world = Harness::new().await;
    world.provider.levers.lock().server =
        json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
    let url = world.begin().await.unwrap();
    let granted = world.provider.levers.lock().issued.clone();
    let redirect_uri = parameter(&url, "redirect_uri").unwrap();
    let registration =
        world.store.origin_client("origin-uid", &world.provider.issuer(), &redirect_uri).await.unwrap();
    let second = Provider::start().await;
    second.levers.lock().skip(100);
    let moved = OriginClientRow { issuer: second.issuer(), ..registration.unwrap() };
    world.store.put_origin_client(&moved).await.unwrap();
    world.provider.levers.lock().resource = json!({"authorization_servers": [second.issuer()]});
    let url = world.begin().await.unwrap();
    assert_ne!(parameter(&url, "client_id"), Some(moved.client_id));
    assert_eq!(second.levers.lock().registrations.len(), 1);
    has_none_of(&second, &granted);
}

#[tokio::test]
async fn given_a_consent_in_the_store_when_it_is_made_out_to_another_person_origin_browser_or_state_then_it_is_of_no_use()
 {
    let world = Harness::new().await;
    let there = table(&world.provider.base, &Settings { uid: "another-uid", ..Settings::default() });
    let digest = |state: &str| URL_SAFE_NO_PAD.encode(Sha256::digest(state));
    for changed in ["nothing", "person", "origin", "browser", "state"] {
        let mut callback = world.provider.consent(&world.begin().await.unwrap());
        let now = world.clock.now().0;
        let state = digest(callback.state.as_deref().unwrap());
        let mut row = world.store.take_connect_flow(&state, now).await.unwrap().unwrap();
        let mut origin = world.origin();
        match changed {
            "person" => row.principal_id = PrincipalId::of("company", "bob").as_str().to_owned(),
            "origin" => {
                origin = Arc::clone(there.origin("o1").unwrap());
                row.origin_uid = origin.uid.to_string();
            }
            "browser" => row.browser = "another".to_owned(),
            "state" => {
                row.state_digest = digest("another");
                callback.state = Some("another".to_owned());
            }
            _ => {}
        }
        world.store.begin_connect_flow(&row, now).await.unwrap();
        let finished =
            world.broker.connect_flows.finish(&world.table.gateway, &origin, &row.browser, &callback).await;
        if changed == "nothing" {
            finished.unwrap();
        } else {
            assert!(matches!(finished, Err(ConnectError::UnknownFlow)), "{changed}");
        }
    }
}

/// Requirements: client.registration.again
#[tokio::test]
async fn given_a_registration_that_the_server_has_forgotten_when_a_refresh_meets_it_then_the_next_consent_registers_anew()
 {
    let world = Harness::new().await;
    world.connect().await;
    world.provider.levers.lock().clients.clear();
    world.advance(3600);
    assert_eq!(status(&world.broker, &world.origin()).await, ConnectionStatus::ReconnectNeeded);
    assert_eq!(world.provider.refreshes(), 1);
    world.connect().await;
    assert_eq!(world.provider.levers.lock().registrations.len(), 2);
    assert_eq!(status(&world.broker, &world.origin()).await, ConnectionStatus::Connected);
    // The registration is deleted between consent and code.
    let url = world.begin().await.unwrap();
    world.provider.levers.lock().clients.clear();
    assert!(world.finish(&world.provider.consent(&url)).await.is_err());
    assert_eq!(status(&world.broker, &world.origin()).await, ConnectionStatus::Connected, "nothing was lost");
    world.connect().await;
    assert_eq!(world.provider.levers.lock().registrations.len(), 3);
}

async fn event(world: &Harness, kind: EventKind) -> (Outcome, Option<String>) {
    for _ in 0..100 {
        if let Some(event) = world.events.drain().into_iter().find(|event| event.event == kind) {
            return (event.outcome, event.reason.map(str::to_owned));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no event of {kind:?}");
}
