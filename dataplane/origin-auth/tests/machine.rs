//! Tokens of the gateway itself (client credentials), from a real authorization server on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::{AuthorizationServer, OriginAuth};
use portcullis_events::{AuthMode, EventKind, Outcome};
use portcullis_origin_auth::{ConnectionStatus, CredentialError};
use portcullis_policy::PrincipalId;
use serde_json::json;
use support::{Harness, Settings, ana, by_hand, table, token};
use tokio::task::JoinSet;
use url::Url;

fn auth(server: AuthorizationServer, scopes: &[&str]) -> OriginAuth {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    OriginAuth::ClientCredentials { server, client: by_hand(), scopes }
}

fn settings(auth: fn(&Url) -> OriginAuth) -> Settings {
    Settings { auth: Some(auth), secret_hosts: vec!["127.0.0.1".to_owned()], ..Settings::default() }
}

fn discovered() -> Settings {
    settings(|_| auth(AuthorizationServer::OfOrigin, &[]))
}

/// Requirements: client.credentials
#[tokio::test]
async fn given_many_people_at_once_then_one_token_serves_them_all_and_names_the_origin() {
    let world = Harness::with(discovered()).await;
    world.provider.levers.lock().delay = Duration::from_millis(100);
    let mut calls = JoinSet::new();
    for person in 0..16 {
        let (broker, origin) = (world.broker.clone(), world.origin());
        calls.spawn(async move {
            let who = PrincipalId::of("company", &person.to_string());
            broker.credential(&who, &origin).await
        });
    }
    let credentials: Vec<_> = calls.join_all().await.into_iter().map(|result| result.ok().unwrap()).collect();
    assert!(credentials.iter().all(|each| token(each) == token(&credentials[0])));
    assert!(credentials.iter().all(|each| each.mode() == AuthMode::ClientCredentials));
    let requests = world.provider.requests("client_credentials");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["resource"], format!("{}mcp", world.provider.base));
    assert_eq!(requests[0]["scope"], "read", "the challenge's");
    assert_eq!(
        world.broker.accounts.status(&ana(), &world.origin()).await.unwrap(),
        ConnectionStatus::NotNeeded
    );
    assert_eq!(world.store.count_connections_at("origin-uid").await.unwrap(), 0);
}

/// Requirements: client.credentials
#[tokio::test]
async fn given_a_token_that_is_about_to_expire_then_another_is_fetched_before() {
    let world = Harness::with(discovered()).await;
    world.provider.levers.lock().lifetime = Some(3);
    let first = world.token().await;
    world.clock.advance(Duration::from_millis(2_300));
    assert_eq!(world.token().await, first);
    world.clock.advance(Duration::from_millis(200));
    assert_ne!(world.token().await, first);
    assert_eq!(world.provider.requests("client_credentials").len(), 2);
}

#[tokio::test]
async fn given_a_server_that_says_no_lifetime_then_the_token_is_used_for_an_hour() {
    let world = Harness::with(discovered()).await;
    world.provider.levers.lock().lifetime = None;
    let first = world.token().await;
    world.advance(3599);
    assert_eq!(world.token().await, first);
    world.advance(2);
    for _ in 0..100 {
        if world.token().await != first {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it is used for ever");
}

/// Requirements: client.credentials
#[tokio::test]
async fn given_a_token_that_the_origin_refuses_then_one_other_is_fetched_and_no_more_for_a_while() {
    let world = Harness::with(discovered()).await;
    let refused = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    let renewed = world.broker.renew(&ana(), &world.origin(), &refused).await.ok().unwrap();
    assert_ne!(token(&renewed), token(&refused));
    // A later caller with the old token gets the new one.
    let late = world.broker.renew(&ana(), &world.origin(), &refused).await.ok().unwrap();
    assert_eq!(token(&late), token(&renewed));
    assert_eq!(world.provider.requests("client_credentials").len(), 2);
    let again = world.broker.renew(&ana(), &world.origin(), &renewed).await;
    assert!(matches!(again, Err(CredentialError::Rejected)));
    assert_eq!(world.provider.requests("client_credentials").len(), 2);
    world.advance(11);
    assert!(world.broker.renew(&ana(), &world.origin(), &renewed).await.is_ok());
}

/// Requirements: client.credentials
#[tokio::test]
async fn given_a_server_that_does_not_answer_then_it_is_not_asked_at_every_call() {
    let world = Harness::with(discovered()).await;
    world.provider.levers.lock().down = true;
    for _ in 0..5 {
        let refused = world.broker.credential(&ana(), &world.origin()).await;
        assert!(matches!(refused, Err(CredentialError::Unavailable(_))));
    }
    world.provider.levers.lock().down = false;
    world.clock.advance(Duration::from_millis(4_999));
    assert!(world.broker.credential(&ana(), &world.origin()).await.is_err());
    assert_eq!(world.provider.requests("client_credentials").len(), 1);
    world.clock.advance(Duration::from_millis(1));
    world.token().await;
    let events = world.events.drain();
    let outcomes: Vec<_> = events
        .iter()
        .filter(|event| event.event == EventKind::UpstreamRefresh)
        .map(|event| (event.outcome, event.auth_mode, event.subject.is_some()))
        .collect();
    let mode = Some(AuthMode::ClientCredentials);
    assert_eq!(outcomes, [(Outcome::UpstreamError, mode, false), (Outcome::Success, mode, false)]);
}

#[tokio::test]
async fn given_a_token_that_could_not_be_replaced_when_its_last_minute_begins_then_another_is_fetched_all_the_same()
 {
    let world = Harness::with(discovered()).await;
    let refused = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    world.advance(3538);
    world.provider.levers.lock().down = true;
    let renewed = world.broker.renew(&ana(), &world.origin(), &refused).await;
    assert!(matches!(renewed, Err(CredentialError::Unavailable(_))));
    world.provider.levers.lock().down = false;
    world.advance(2);
    assert_eq!(world.token().await, token(&refused));
    // The background request fails, and the server gets no further request for a while.
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.advance(4);
    for _ in 0..100 {
        if world.token().await != token(&refused) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody fetches another");
}

#[tokio::test]
async fn given_a_server_that_refuses_the_client_then_the_event_says_so_and_quotes_no_secret() {
    let world = Harness::with(discovered()).await;
    world.provider.levers.lock().clients.clear();
    let error = world.broker.credential(&ana(), &world.origin()).await.err().unwrap().to_string();
    assert!(error.contains("invalid_client") && error.contains("administrator"), "{error}");
    let events = world.events.drain();
    assert_eq!(events.iter().filter_map(|event| event.reason).collect::<Vec<_>>(), ["client_refused"]);
    assert!(!format!("{events:?}").contains("a secret"));
}

/// Requirements: client.credentials.bound
#[tokio::test]
async fn given_a_server_on_a_host_that_the_secret_does_not_name_then_nothing_is_sent_there() {
    let world = Harness::with(Settings { secret_hosts: vec!["as.example".to_owned()], ..discovered() }).await;
    let error = world.broker.credential(&ana(), &world.origin()).await.err().unwrap().to_string();
    assert!(error.contains("portcullis.dev/allowed-hosts"), "{error}");
    assert!(world.provider.levers.lock().token_requests.is_empty());
}

#[tokio::test]
async fn given_an_issuer_then_the_origin_is_not_asked_who_gives_tokens() {
    let settings =
        settings(|base| auth(AuthorizationServer::Issuer(format!("{base}tenant")), &["write", "read"]));
    let world = Harness::with(settings).await;
    // A server that only issues tokens to programs has no authorization endpoint and no PKCE.
    world.provider.levers.lock().server =
        json!({"authorization_endpoint": null, "code_challenge_methods_supported": null});
    world.provider.levers.lock().resource =
        json!({"authorization_servers": ["http://127.0.0.1:1/elsewhere"]});
    world.token().await;
    let request = &world.provider.requests("client_credentials")[0];
    assert_eq!(request["scope"], "write read");
    assert_eq!(request["resource"], world.origin().url.as_str());
}

/// Requirements: client.credentials.bound
#[tokio::test]
async fn given_an_issuer_whose_metadata_is_anothers_then_the_secret_is_not_sent() {
    let settings = settings(|base| auth(AuthorizationServer::Issuer(format!("{base}tenant")), &[]));
    let world = Harness::with(settings).await;
    world.provider.levers.lock().server = json!({"issuer": "https://other.example"});
    assert!(world.broker.credential(&ana(), &world.origin()).await.is_err());
    assert!(world.provider.levers.lock().token_requests.is_empty());
}

#[tokio::test]
async fn given_a_token_endpoint_then_no_metadata_is_needed() {
    let settings = settings(|base| {
        let endpoint = base.join("tenant/token").unwrap();
        auth(AuthorizationServer::TokenEndpoint(endpoint), &[])
    });
    let world = Harness::with(settings).await;
    world.provider.levers.lock().server = json!({"issuer": "https://other.example"});
    world.provider.levers.lock().challenge = false;
    world.token().await;
    assert!(!world.provider.requests("client_credentials")[0].contains_key("scope"));
}

/// Requirements: client.credentials.bound
#[tokio::test]
async fn given_an_origin_whose_url_changed_then_the_token_of_before_is_not_sent_there() {
    let world = Harness::with(discovered()).await;
    let first = world.token().await;
    let moved = table(&world.provider.base, &Settings { path: "/other", ..discovered() });
    let moved = Arc::clone(moved.origin("o1").unwrap());
    let there = world.broker.credential(&ana(), &moved).await;
    assert!(there.is_err(), "the metadata describes another resource");
    assert_eq!(world.provider.requests("client_credentials").len(), 1);
    assert_eq!(world.token().await, first);
}
