//! An origin requests more scopes than were granted (MCP, basic/authorization, "Step-Up Authorization Flow").

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use portcullis_origin_auth::{Challenge, Credential, CredentialBroker, StepUp};
use support::{Harness, Settings, ana, parameter, table, token};

fn challenge(header: &str) -> Challenge {
    let mut headers = HeaderMap::new();
    headers.insert("www-authenticate", HeaderValue::from_str(header).unwrap());
    Challenge::from_headers(&headers).unwrap()
}

fn insufficient(scope: &str) -> Challenge {
    let challenge = challenge(&format!(r#"Bearer error="insufficient_scope", scope="{scope}""#));
    assert!(challenge.is_insufficient_scope());
    challenge
}

async fn credential(broker: &CredentialBroker, world: &Harness) -> Credential {
    broker.credential(&ana(), &world.origin()).await.ok().unwrap()
}

/// A call with the current credential, which the origin rejects with `insufficient_scope`.
async fn refuse(broker: &CredentialBroker, world: &Harness, scope: &str) -> StepUp {
    let refused = credential(broker, world).await;
    broker.step_up(&ana(), &world.origin(), &refused, &insufficient(scope)).await.ok().unwrap()
}

async fn asks_consent(broker: &CredentialBroker, world: &Harness, scope: &str) -> bool {
    match refuse(broker, world, scope).await {
        StepUp::Consent(scopes) => scopes.join(" ") == scope,
        StepUp::Refused(_) => false,
        StepUp::Renewed(_) => panic!("the credential was the current one"),
    }
}

async fn pending_scopes(broker: &CredentialBroker, world: &Harness) -> String {
    broker.pending_scopes(&ana(), &world.origin()).await.unwrap().join(" ")
}

/// Requirements: client.step-up
#[tokio::test]
async fn given_two_challenges_for_different_scopes_then_one_consent_is_for_what_was_granted_and_both() {
    let world = Harness::new().await;
    world.connect().await;
    let replica = world.replica();
    assert!(asks_consent(&world.broker, &world, "files").await);
    assert!(asks_consent(&replica, &world, "mail files").await, "at another replica");
    assert_eq!(pending_scopes(&world.broker, &world).await, "files mail");
    let before = world.token().await;
    let url = world.begin().await.unwrap();
    assert_eq!(parameter(&url, "scope").as_deref(), Some("read files mail"));
    world.finish(&world.provider.consent(&url)).await.unwrap();
    assert_ne!(world.token().await, before);
    assert_eq!(pending_scopes(&world.broker, &world).await, "");
    // A later request keeps all of them.
    assert!(asks_consent(&world.broker, &world, "calendar").await);
    assert_eq!(pending_scopes(&world.broker, &world).await, "calendar");
    let url = world.begin().await.unwrap();
    assert_eq!(parameter(&url, "scope").as_deref(), Some("read files mail calendar"));
}

#[tokio::test]
async fn given_a_challenge_while_the_person_consents_to_another_then_it_is_for_the_next_consent() {
    let world = Harness::new().await;
    world.connect().await;
    assert!(asks_consent(&world.broker, &world, "files").await);
    let url = world.begin().await.unwrap();
    assert!(asks_consent(&world.broker, &world, "mail").await);
    world.finish(&world.provider.consent(&url)).await.unwrap();
    assert_eq!(pending_scopes(&world.broker, &world).await, "mail");
}

#[tokio::test]
async fn given_many_challenges_at_once_then_none_is_lost() {
    let world = Harness::new().await;
    world.connect().await;
    let brokers = [world.broker.clone(), world.replica(), world.replica()];
    let mut calls = tokio::task::JoinSet::new();
    for (broker, scope) in brokers.into_iter().zip(["files", "mail", "calendar"]) {
        let origin = world.origin();
        calls.spawn(async move {
            let refused = broker.credential(&ana(), &origin).await.ok().unwrap();
            broker.step_up(&ana(), &origin, &refused, &insufficient(scope)).await.map(drop)
        });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    let mut all: Vec<_> = world.broker.pending_scopes(&ana(), &world.origin()).await.unwrap();
    all.sort();
    assert_eq!(all, ["calendar", "files", "mail"]);
}

/// Requirements: client.step-up.ends
#[tokio::test]
async fn given_a_consent_that_did_not_help_then_nobody_is_asked_for_the_same_again_for_ten_minutes() {
    let world = Harness::new().await;
    world.connect().await;
    // Whether the authorization server states that it granted less, or claims to have granted everything.
    for (round, grants) in [Some("read"), None].into_iter().enumerate() {
        world.provider.levers.lock().grants = grants;
        assert!(asks_consent(&world.broker, &world, "files").await, "round {round}");
        world.finish(&world.provider.consent(&world.begin().await.unwrap())).await.unwrap();
        for broker in [&world.broker, &world.replica()] {
            let refused = refuse(broker, &world, "files").await;
            assert!(matches!(refused, StepUp::Refused(scopes) if scopes == ["files"]));
        }
        assert_eq!(pending_scopes(&world.broker, &world).await, "");
        world.advance(599);
        assert!(matches!(refuse(&world.broker, &world, "files").await, StepUp::Refused(_)));
        world.advance(1);
    }
    assert!(asks_consent(&world.broker, &world, "files").await);
    assert_eq!(pending_scopes(&world.broker, &world).await, "files");
    // Other scopes may be requested at any time.
    world.finish(&world.provider.consent(&world.begin().await.unwrap())).await.unwrap();
    assert!(asks_consent(&world.broker, &world, "files mail").await);
}

#[tokio::test]
async fn given_a_replica_that_has_not_heard_of_a_consent_then_its_call_goes_on_with_the_new_credential() {
    let world = Harness::new().await;
    world.connect().await;
    let replica = world.replica();
    let old = credential(&replica, &world).await;
    assert!(asks_consent(&world.broker, &world, "files").await);
    world.finish(&world.provider.consent(&world.begin().await.unwrap())).await.unwrap();
    assert_eq!(token(&credential(&replica, &world).await), token(&old), "it still remembers the old one");
    let StepUp::Renewed(renewed) = refuse(&replica, &world, "files").await else { panic!("a loop") };
    assert_eq!(token(&renewed), world.token().await);
    assert_eq!(token(&credential(&replica, &world).await), world.token().await);
}

/// Requirements: client.step-up
#[tokio::test]
async fn given_a_dead_grant_when_its_last_401_named_scopes_then_whoever_reconnects_is_asked_for_them_too() {
    let world = Harness::with(Settings { scopes: vec!["read".into()], ..Settings::default() }).await;
    world.connect().await;
    let granted = challenge(r#"Bearer error="invalid_token", scope="read""#);
    assert!(world.broker.record_requested_scopes(&ana(), &world.origin(), &granted).await.unwrap().is_none());
    let refused = credential(&world.broker, &world).await;
    world.provider.levers.lock().dead = true;
    assert!(world.broker.renew(&ana(), &world.origin(), &refused).await.is_err());
    let more = challenge(r#"Bearer error="invalid_token", scope="read write""#);
    let noted = world.broker.record_requested_scopes(&ana(), &world.origin(), &more).await.unwrap();
    assert!(matches!(noted, Some(StepUp::Consent(scopes)) if scopes == ["write"]));
    world.provider.levers.lock().dead = false;
    let url = world.begin().await.unwrap();
    assert_eq!(parameter(&url, "scope").as_deref(), Some("read write"));
    world.finish(&world.provider.consent(&url)).await.unwrap();
    // The scopes were granted, and the new credential is rejected with the same challenge.
    let refused = world.broker.record_requested_scopes(&ana(), &world.origin(), &more).await.unwrap();
    assert!(matches!(refused, Some(StepUp::Refused(scopes)) if scopes == ["write"]));
    assert!(world.broker.record_requested_scopes(&ana(), &world.origin(), &granted).await.unwrap().is_none());
    world.advance(600);
    assert!(world.broker.record_requested_scopes(&ana(), &world.origin(), &more).await.unwrap().is_none());
}

#[tokio::test]
async fn given_a_disconnected_account_or_another_url_then_nothing_of_it_is_asked_for() {
    let world = Harness::new().await;
    world.connect().await;
    assert!(asks_consent(&world.broker, &world, "files").await);
    let moved = table(&world.provider.base, &Settings { path: "/other", ..Settings::default() });
    let moved = Arc::clone(moved.origin("o1").unwrap());
    assert!(world.broker.pending_scopes(&ana(), &moved).await.unwrap().is_empty());
    assert!(
        world.broker.record_requested_scopes(&ana(), &moved, &insufficient("files")).await.unwrap().is_none()
    );
    world.broker.disconnector.disconnect(&ana(), &world.origin()).await.unwrap();
    assert_eq!(pending_scopes(&world.broker, &world).await, "");
    let url = world.begin().await.unwrap();
    assert_eq!(parameter(&url, "scope").as_deref(), Some("read"));
}

#[tokio::test]
async fn given_an_origin_that_asks_for_something_else_each_time_then_what_is_kept_of_it_stays_small() {
    let world = Harness::new().await;
    world.connect().await;
    for round in 0..20 {
        let scopes: Vec<_> = (0..40).map(|number| format!("scope-{round}-{number}")).collect();
        assert!(asks_consent(&world.broker, &world, &scopes.join(" ")).await);
    }
    let kept = pending_scopes(&world.broker, &world).await;
    assert!(kept.len() <= 4000 && kept.contains("scope-19-39"), "{}", kept.len());
}

#[tokio::test]
async fn given_wishes_that_are_too_much_together_then_the_latest_counts() {
    /// Scopes of this total length in bytes, each short enough to be accepted.
    fn scopes(name: char, bytes: usize) -> String {
        let long = (0..19).map(|number| format!("{name}-{number:097} ")).collect::<String>();
        let short = format!("{name:x<0$}", bytes - long.len());
        long + &short
    }
    for (bytes, kept) in [(2000, 4000), (2001, 2001)] {
        let world = Harness::new().await;
        world.connect().await;
        assert!(asks_consent(&world.broker, &world, &scopes('a', 1999)).await);
        assert!(asks_consent(&world.broker, &world, &scopes('b', bytes)).await);
        assert_eq!(pending_scopes(&world.broker, &world).await.len(), kept);
    }
}
