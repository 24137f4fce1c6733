//! Refreshing credentials, against a real authorization server on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use portcullis_events::{AuthMode, EventKind, Outcome};
use portcullis_origin_auth::{ConnectionStatus, Credential, CredentialBroker, CredentialError};
use serde_json::json;
use support::{Harness, Settings, ana, table, token};
use tokio::task::JoinSet;

fn status(result: Result<Credential, CredentialError>) -> ConnectionStatus {
    match result.err().unwrap() {
        CredentialError::NotConnected(status) => status,
        other => panic!("{other}"),
    }
}

async fn all_tokens(
    world: &Harness,
    brokers: &[CredentialBroker],
    refused: Option<&Credential>,
) -> Vec<String> {
    let mut calls = JoinSet::new();
    for broker in brokers.iter().cycle().take(16) {
        let (broker, origin, refused) = (broker.clone(), world.origin(), refused.cloned());
        calls.spawn(async move {
            match refused {
                Some(refused) => broker.renew(&ana(), &origin, &refused).await,
                None => broker.credential(&ana(), &origin).await,
            }
        });
    }
    calls.join_all().await.into_iter().map(|result| token(&result.ok().unwrap())).collect()
}

/// Requirements: client.refresh.once
#[tokio::test]
async fn given_sixteen_calls_after_expiry_on_two_replicas_then_one_refresh_serves_them_all() {
    let world = Harness::new().await;
    world.connect().await;
    let old = world.token().await;
    world.provider.levers.lock().delay = Duration::from_millis(150);
    world.advance(3600);
    let tokens = all_tokens(&world, &[world.broker.clone(), world.replica()], None).await;
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != old), "{tokens:?}");
    assert_eq!(world.provider.refreshes(), 1);
    assert!(world.provider.requests("refresh_token")[0]["resource"].ends_with("/mcp"));
}

#[tokio::test]
async fn given_sixteen_calls_that_were_answered_401_then_one_refresh_serves_them_all() {
    let world = Harness::new().await;
    world.connect().await;
    let refused = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    let tokens = all_tokens(&world, &[world.broker.clone(), world.replica()], Some(&refused)).await;
    assert!(tokens.iter().all(|each| *each == tokens[0] && *each != token(&refused)), "{tokens:?}");
    assert_eq!(world.provider.refreshes(), 1);
    // A later caller with the old token gets the new one.
    let renewed = world.broker.renew(&ana(), &world.origin(), &refused).await.ok().unwrap();
    assert_eq!(token(&renewed), tokens[0]);
    assert_eq!(world.provider.refreshes(), 1);
}

#[tokio::test]
async fn given_a_short_token_when_its_last_fifth_begins_then_it_is_refreshed() {
    let world = Harness::new().await;
    world.provider.levers.lock().lifetime = Some(3);
    world.connect().await;
    let first = world.token().await;
    world.clock.advance(Duration::from_millis(2_300));
    assert_eq!(world.token().await, first);
    world.clock.advance(Duration::from_millis(200));
    assert_ne!(world.token().await, first);
    assert_eq!(world.provider.refreshes(), 1);
}

#[tokio::test]
async fn given_a_replica_that_has_not_seen_a_token_when_its_last_minute_begins_then_it_refreshes_first() {
    let world = Harness::new().await;
    world.connect().await;
    world.replaces_in_its_last_minute().await;
}

#[tokio::test]
async fn given_calls_with_a_connection_then_its_last_use_is_noted_to_the_hour() {
    let world = Harness::new().await;
    world.provider.levers.lock().lifetime = None;
    world.connect().await;
    let used = async || world.broker.accounts.account(&ana(), &world.origin()).await.unwrap().last_used_at;
    assert_eq!(used().await, None);
    let began = world.clock.now();
    for (passed, noted) in [(0, 0), (1800, 0), (1800, 0), (1, 3601)] {
        world.advance(passed);
        assert!(world.replica().credential(&ana(), &world.origin()).await.is_ok());
        assert_eq!(used().await, Some(began.after_seconds(noted)), "{passed}");
    }
}

#[tokio::test]
async fn given_a_long_token_in_its_last_minute_then_no_call_waits_for_the_refresh() {
    let world = Harness::new().await;
    world.connect().await;
    let first = world.token().await;
    world.provider.levers.lock().delay = Duration::from_millis(100);
    world.advance(3545);
    assert_eq!(world.token().await, first);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if world.token().await != first {
            break;
        }
    }
    assert_ne!(world.token().await, first);
    assert_eq!(world.provider.refreshes(), 1);
}

/// Requirements: client.refresh.kept
#[tokio::test]
async fn given_a_provider_that_does_not_rotate_then_the_old_refresh_token_goes_on() {
    let world = Harness::new().await;
    world.provider.levers.lock().rotates = false;
    world.connect().await;
    for _ in 0..2 {
        world.advance(3600);
        world.token().await;
    }
    let used = world.provider.requests("refresh_token");
    assert_eq!(used.len(), 2);
    assert_eq!(used[0]["refresh_token"], used[1]["refresh_token"]);
}

/// Requirements: client.refresh.kept
#[tokio::test]
async fn given_a_provider_that_rotates_then_each_refresh_token_is_used_once() {
    let world = Harness::new().await;
    world.connect().await;
    for _ in 0..3 {
        world.advance(3600);
        world.token().await;
    }
    let mut used: Vec<_> = world
        .provider
        .requests("refresh_token")
        .into_iter()
        .map(|form| form["refresh_token"].clone())
        .collect();
    used.dedup();
    assert_eq!(used.len(), 3);
}

/// Requirements: client.refresh.unauthorized
#[tokio::test]
async fn given_a_dead_grant_then_the_person_has_to_reconnect_and_then_goes_on() {
    let world = Harness::new().await;
    world.connect().await;
    let mut changes = world.broker.changes();
    let refused = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    world.provider.levers.lock().dead = true;
    let renewed = world.broker.renew(&ana(), &world.origin(), &refused).await;
    assert_eq!(status(renewed), ConnectionStatus::ReconnectNeeded);
    assert!(!changes.recv().await.unwrap().connected);
    assert_eq!(
        status(world.broker.credential(&ana(), &world.origin()).await),
        ConnectionStatus::ReconnectNeeded
    );
    assert_eq!(
        status(world.replica().credential(&ana(), &world.origin()).await),
        ConnectionStatus::ReconnectNeeded
    );
    assert_eq!(
        world.broker.accounts.status(&ana(), &world.origin()).await.unwrap(),
        ConnectionStatus::ReconnectNeeded
    );
    assert_eq!(world.provider.refreshes(), 1, "a dead grant is not asked for again");
    let event =
        world.events.drain().into_iter().find(|event| event.event == EventKind::UpstreamRefresh).unwrap();
    assert_eq!((event.outcome, event.reason), (Outcome::UpstreamError, Some("grant_dead")));
    world.provider.levers.lock().dead = false;
    world.connect().await;
    assert_ne!(world.token().await, token(&refused));
    assert_eq!(world.provider.levers.lock().registrations.len(), 1, "the client is as good as before");
}

/// RFC 6749, section 5.2: errors that another consent fixes, and errors that only an administrator or time
/// fixes.
#[tokio::test]
async fn given_a_refusal_then_only_one_that_would_be_repeated_for_the_person_ends_the_grant() {
    for (code, when_registered, when_by_hand) in [
        ("invalid_grant", false, false),
        ("bad_refresh_token", false, false),
        ("invalid_scope", false, false),
        ("invalid_target", false, false),
        ("unauthorized_client", false, false),
        ("unsupported_grant_type", false, false),
        ("invalid_client", false, true),
        ("invalid_request", true, true),
        ("slow_down", true, true),
        ("temporarily_unavailable", true, true),
    ] {
        let by_hand = Settings::registered_by_hand(&["127.0.0.1"]);
        for (settings, survives) in [(Settings::default(), when_registered), (by_hand, when_by_hand)] {
            let world = Harness::with(settings).await;
            world.connect().await;
            world.advance(3600);
            world.provider.levers.lock().answers = Some((StatusCode::BAD_REQUEST, json!({"error": code})));
            let refused = world.broker.credential(&ana(), &world.origin()).await;
            world.provider.levers.lock().answers = None;
            if survives {
                let told = refused.err().unwrap().to_string();
                assert!(told.contains(code) && told.contains("administrator"), "{told}");
                world.advance(1);
                world.token().await;
            } else {
                assert_eq!(status(refused), ConnectionStatus::ReconnectNeeded, "{code}");
            }
        }
    }
}

#[tokio::test]
async fn given_no_refresh_token_when_the_origin_refuses_then_the_person_has_to_reconnect() {
    let world = Harness::new().await;
    world.provider.levers.lock().gives_refresh = false;
    world.connect().await;
    let refused = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    world.advance(3590);
    assert_eq!(world.token().await, token(&refused), "good to its end");
    let renewed = world.broker.renew(&ana(), &world.origin(), &refused).await;
    assert_eq!(status(renewed), ConnectionStatus::ReconnectNeeded);
    assert_eq!(world.provider.refreshes(), 0);
}

#[tokio::test]
async fn given_a_provider_that_is_down_then_the_old_token_serves_to_its_end_and_the_grant_survives() {
    let world = Harness::new().await;
    world.provider.levers.lock().lifetime = Some(100);
    world.connect().await;
    let first = world.token().await;
    world.provider.levers.lock().down = true;
    world.advance(95);
    assert_eq!(world.token().await, first);
    let asked = world.provider.refreshes();
    assert_eq!(world.token().await, first);
    assert_eq!(world.provider.refreshes(), asked, "it is left alone for a while");
    world.advance(5);
    let error = world.broker.credential(&ana(), &world.origin()).await.err().unwrap();
    assert!(matches!(error, CredentialError::Unavailable(_)), "{error}");
    world.provider.levers.lock().down = false;
    world.advance(1);
    assert_ne!(world.token().await, first);
}

/// Only an error response (RFC 6749, section 5.2) ends a grant, and only a success returns a token.
#[tokio::test]
async fn given_a_provider_in_trouble_when_its_answer_looks_like_another_then_the_grant_survives() {
    let world = Harness::new().await;
    world.connect().await;
    let first = world.token().await;
    world.advance(3600);
    for (tries, (status, body)) in [
        (StatusCode::SERVICE_UNAVAILABLE, json!({"error": "invalid_grant"})),
        (StatusCode::TOO_MANY_REQUESTS, json!({"error": "invalid_grant"})),
        (StatusCode::NOT_FOUND, json!({"message": "no such page"})),
        (StatusCode::NOT_FOUND, json!({"access_token": "stray", "token_type": "bearer"})),
    ]
    .into_iter()
    .enumerate()
    {
        world.provider.levers.lock().answers = Some((status, body.clone()));
        world.advance(1);
        let error = world.broker.credential(&ana(), &world.origin()).await.err().unwrap();
        assert!(matches!(error, CredentialError::Unavailable(_)), "{status} {body}: {error}");
        assert!(error.to_string().contains(status.as_str()), "{error}");
        // A caller that waited meanwhile gets the same error.
        assert!(world.broker.credential(&ana(), &world.origin()).await.is_err());
        assert_eq!(world.provider.refreshes(), tries + 1);
    }
    world.provider.levers.lock().answers = None;
    world.advance(1);
    assert_ne!(world.token().await, first);
}

/// Requirements: client.url-changed
#[tokio::test]
async fn given_another_url_then_the_old_connection_is_not_used_and_comes_back_with_the_old_url() {
    let world = Harness::new().await;
    world.connect().await;
    let moved = table(&world.provider.base, &Settings { path: "/other", ..Settings::default() });
    let moved = Arc::clone(moved.origin("o1").unwrap());
    assert_eq!(status(world.broker.credential(&ana(), &moved).await), ConnectionStatus::ReconnectNeeded);
    let by_hand = table(&world.provider.base, &Settings::registered_by_hand(&["127.0.0.1"]));
    let by_hand = Arc::clone(by_hand.origin("o1").unwrap());
    assert_eq!(status(world.broker.credential(&ana(), &by_hand).await), ConnectionStatus::ReconnectNeeded);
    // The same origin in a later route table is the same.
    let later = table(&world.provider.base, &Settings::default());
    assert!(world.broker.credential(&ana(), later.origin("o1").unwrap()).await.is_ok());
}

/// Requirements: client.endpoint, advisory.refresh-endpoint
#[tokio::test]
async fn given_a_row_whose_endpoint_was_changed_then_no_token_is_sent_there() {
    let world = Harness::new().await;
    world.connect().await;
    let mut row = world.store.connection(ana().as_str(), "origin-uid").await.unwrap().unwrap();
    row.token_endpoint = format!("{}other", world.provider.base);
    world.store.put_connection(&row).await.unwrap();
    world.advance(3600);
    assert_eq!(
        status(world.broker.credential(&ana(), &world.origin()).await),
        ConnectionStatus::ReconnectNeeded
    );
    assert_eq!(world.provider.refreshes(), 0);
}

/// Requirements: client.revoked
#[tokio::test]
async fn given_an_account_when_disconnected_then_it_is_revoked_and_gone_on_every_replica() {
    let world = Harness::new().await;
    world.connect().await;
    let replica = world.replica();
    assert!(replica.credential(&ana(), &world.origin()).await.is_ok());
    let mut changes = world.broker.changes();
    let access = world.token().await;
    world.broker.disconnector.disconnect(&ana(), &world.origin()).await.unwrap();
    assert!(!changes.recv().await.unwrap().connected);
    let revoked = world.provider.levers.lock().revoked.clone();
    assert!(
        revoked.len() == 2 && revoked[0].starts_with("plain-refresh") && revoked[1] == access,
        "{revoked:?}"
    );
    assert_eq!(
        status(world.broker.credential(&ana(), &world.origin()).await),
        ConnectionStatus::NeverConnected
    );
    // The other replica reads the store again after a while, in the background.
    world.advance(300);
    for _ in 0..100 {
        if replica.credential(&ana(), &world.origin()).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the other replica goes on with a disconnected account");
}

#[tokio::test]
async fn given_a_client_that_goes_away_then_the_refresh_it_caused_still_ends_well() {
    let world = Harness::new().await;
    world.connect().await;
    world.provider.levers.lock().delay = Duration::from_millis(200);
    world.advance(3600);
    let gone =
        tokio::time::timeout(Duration::from_millis(50), world.broker.credential(&ana(), &world.origin()))
            .await;
    assert!(gone.is_err());
    world.token().await;
    assert_eq!(world.provider.refreshes(), 1);
}

#[tokio::test]
async fn given_a_consent_while_a_refresh_is_under_way_then_the_consent_counts() {
    let world = Harness::new().await;
    world.connect().await;
    let replica = world.replica();
    let url = world.begin().await.unwrap();
    let callback = world.provider.consent(&url);
    world.provider.levers.lock().delay = Duration::from_millis(200);
    world.advance(300);
    let refused = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    let (who, origin) = (ana(), world.origin());
    let (renewed, finished) = tokio::join!(replica.renew(&who, &origin, &refused), world.finish(&callback));
    finished.unwrap();
    let stored = token(&world.replica().credential(&ana(), &world.origin()).await.ok().unwrap());
    assert_eq!(world.token().await, stored);
    assert!(renewed.is_ok());
}

#[tokio::test]
async fn given_an_origin_without_accounts_then_its_credential_needs_no_connection() {
    let world = Harness::new().await;
    let origin = world.origin();
    let plain = portcullis_policy::Origin {
        uid: Arc::clone(&origin.uid),
        id: Arc::clone(&origin.id),
        name: Arc::clone(&origin.name),
        display_name: String::new(),
        url: origin.url.clone(),
        auth: portcullis_config::OriginAuth::None,
        credential: portcullis_policy::OriginCredential::None,
        network: origin.network.clone(),
        limits: origin.limits,
        catalog_sharing: origin.catalog_sharing,
    };
    let plain = Arc::new(plain);
    let credential = world.broker.credential(&ana(), &plain).await.ok().unwrap();
    assert!(credential.header().is_none() && credential.mode() == AuthMode::None);
    assert_eq!(world.broker.accounts.status(&ana(), &plain).await.unwrap(), ConnectionStatus::NotNeeded);
    assert!(world.broker.renew(&ana(), &plain, &credential).await.is_err());
}

#[tokio::test]
async fn given_a_store_that_goes_away_then_a_credential_that_was_opened_serves_to_its_end_and_others_are_not_to_be_had()
 {
    let world = Harness::new().await;
    world.connect().await;
    let opened = world.token().await;
    let cold = world.replica();
    world.store.close().await;
    // Long after the cache should be compared with the store, every call succeeds without waiting.
    for _ in 0..8 {
        world.advance(350);
        assert_eq!(world.token().await, opened);
        // The background read fails meanwhile.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let unopened = cold.credential(&ana(), &world.origin()).await;
    assert!(matches!(unopened, Err(CredentialError::Unavailable(_))));
    assert!(matches!(
        cold.accounts.status(&ana(), &world.origin()).await,
        Err(CredentialError::Unavailable(_))
    ));
    world.advance(1_000);
    let expired = world.broker.credential(&ana(), &world.origin()).await;
    assert!(matches!(expired, Err(CredentialError::Unavailable(_))), "it is not taken for disconnected");
    assert_eq!(world.provider.refreshes(), 0, "no refresh token is spent that could not be stored");
}
