//! Renewal of sign-ins with the refresh token.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::time::Duration;

use portcullis_clock::UnixMillis;
use portcullis_identity_providers::{RenewalError, Renewed};
use portcullis_policy::PrincipalId;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use support::{NOW, TestGateway};

fn ana() -> PrincipalId {
    PrincipalId::of("company", "1")
}

/// Renews regardless of the last renewal.
async fn renew(world: &TestGateway) -> Result<Renewed, RenewalError> {
    world.providers.renewal.renew(world.gateway(), &ana(), None).await
}

async fn signed_in(settings: Value) -> TestGateway {
    let world = TestGateway::with(settings).await;
    world.idp.id_token(Some(json!({"email": "a@b.c", "name": "Ana", "groups": ["finance"]})));
    world.sign_in(json!({})).await.unwrap();
    world
}

fn described(renewed: &Renewed) -> Vec<String> {
    let person = renewed.description.principal("company", None);
    person.groups.iter().map(ToString::to_string).collect()
}

/// Requirements: idp.renewal
#[tokio::test]
async fn given_a_sign_in_when_it_is_renewed_then_the_person_is_as_they_are_now_and_the_next_token_is_kept() {
    let world = signed_in(json!({})).await;
    world
        .idp
        .id_token(Some(json!({"email": "a@b.c", "name": "Ana", "groups": ["engineering"], "nonce": null})));
    world.idp.refresh_token(Some("second"));
    let renewed = renew(&world).await.unwrap();
    assert!(renewed.is_whole);
    assert_eq!(described(&renewed), ["engineering"]);
    world.idp.refresh_token(None);
    renew(&world).await.unwrap();
    renew(&world).await.unwrap();
    let sent: Vec<_> =
        world.idp.asked("refresh_token").iter().map(|form| form["refresh_token"].clone()).collect();
    assert_eq!(sent, ["first", "second", "second"], "a provider that gives no other goes on with the same");
    let row = world.store.provider_account(ana().as_str()).await.unwrap().unwrap();
    assert!(!row.sealed.unwrap().contains("second"));
}

#[tokio::test]
async fn given_a_recent_word_when_asked_for_one_as_old_as_it_then_the_provider_is_left_alone() {
    let world = signed_in(json!({})).await;
    let since = async |since: i64| {
        world.providers.renewal.renew(world.gateway(), &ana(), Some(UnixMillis(since * 1000))).await
    };
    assert!(matches!(since(NOW - 1).await, Err(RenewalError::NotDue)));
    assert!(world.idp.asked("refresh_token").is_empty());
    assert!(since(NOW).await.is_ok());
}

/// Requirements: idp.renewal
#[tokio::test]
async fn given_a_provider_that_names_no_groups_any_more_when_all_was_asked_then_there_are_none() {
    let world = signed_in(json!({})).await;
    world.idp.id_token(Some(json!({"email": "a@b.c", "name": "Ana"})));
    let renewed = renew(&world).await.unwrap();
    assert!(renewed.is_whole && described(&renewed).is_empty());
}

/// Requirements: idp.renewal
#[tokio::test]
async fn given_a_renewal_without_an_id_token_then_userinfo_speaks_and_what_it_does_not_know_stays() {
    let world = signed_in(json!({})).await;
    world.idp.id_token(None);
    world.idp.userinfo(json!({"sub": "1", "name": "Ana Lovelace"}));
    let renewed = renew(&world).await.unwrap();
    assert!(!renewed.is_whole);
    let known = portcullis_policy::Principal::new("company", "1", None, Some("Ana"), ["finance"]);
    let person = renewed.description.principal("company", Some(&known));
    assert_eq!((person.name.as_deref(), &*person.groups), (Some("Ana Lovelace"), &["finance".into()][..]));
}

/// Requirements: idp.renewal
#[tokio::test]
async fn given_a_renewal_that_is_of_somebody_else_then_it_changes_nothing() {
    for more in [json!({"sub": "2"}), json!({"nonce": "another"}), json!({"aud": "another-client"})] {
        let world = signed_in(json!({})).await;
        world.idp.userinfo(json!({"sub": "2"}));
        world.idp.id_token(Some(more.clone()));
        assert!(matches!(renew(&world).await, Err(RenewalError::Failed(_))), "{more}");
    }
    let world = signed_in(json!({})).await;
    world.idp.id_token(None);
    world.idp.userinfo(json!({"sub": "2", "groups": ["admins"]}));
    assert!(matches!(renew(&world).await, Err(RenewalError::Failed(_))));
}

/// Requirements: idp.renewal.refused
#[tokio::test]
async fn given_a_provider_that_refuses_then_only_its_word_for_the_person_ends_the_sign_in() {
    for code in ["invalid_grant", "bad_refresh_token"] {
        let world = signed_in(json!({})).await;
        world.idp.refuses(Some(json!({"error": code, "error_description": "the account is disabled"})));
        let Err(RenewalError::Ended(why)) = renew(&world).await else { panic!("{code}") };
        assert_eq!(why, "the account is disabled");
        assert!(
            matches!(renew(&world).await, Err(RenewalError::Ended(_))),
            "until all is over it is found again"
        );
        world.providers.renewal.delete_refresh_token(&ana()).await.unwrap();
        assert!(matches!(renew(&world).await, Err(RenewalError::NoRefreshToken)));
    }
    for code in ["invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type"] {
        let world = signed_in(json!({})).await;
        world.idp.refuses(Some(json!({"error": code})));
        assert!(matches!(renew(&world).await, Err(RenewalError::Failed(_))), "{code}");
        assert!(matches!(renew(&world).await, Err(RenewalError::Postponed(_))), "{code}");
        assert_eq!(world.idp.asked("refresh_token").len(), 1);
        world.idp.refuses(None);
        world.clock.advance(Duration::from_millis(29_999));
        assert!(matches!(renew(&world).await, Err(RenewalError::Postponed(_))), "{code}");
        world.clock.advance(Duration::from_millis(1));
        assert!(renew(&world).await.is_ok(), "{code}");
    }
}

/// Requirements: idp.offline
#[tokio::test]
async fn given_settings_that_forbid_it_or_another_client_then_there_is_nothing_to_renew_with() {
    let world = signed_in(json!({"renew": false})).await;
    assert!(world.store.provider_account(ana().as_str()).await.unwrap().unwrap().sealed.is_none());
    assert!(matches!(renew(&world).await, Err(RenewalError::NoRefreshToken)));

    let mut world = signed_in(json!({})).await;
    world.set(json!({"clientId": "another-client"}));
    assert!(
        matches!(renew(&world).await, Err(RenewalError::NoRefreshToken)),
        "it was given to another client"
    );
    world.set(json!({"renew": false}));
    assert!(matches!(renew(&world).await, Err(RenewalError::NoRefreshToken)));
    let mut row = world.store.provider_account(ana().as_str()).await.unwrap().unwrap();
    row.principal = PrincipalId::of("company", "2").as_str().to_owned();
    world.store.put_provider_account(&row).await.unwrap();
    world.set(json!({}));
    let stolen = world.providers.renewal.renew(world.gateway(), &PrincipalId::of("company", "2"), None).await;
    assert!(matches!(stolen, Err(RenewalError::NoRefreshToken)), "it was given to another person");
    assert!(world.idp.asked("refresh_token").is_empty());
}

/// Requirements: idp.renewal.once
#[tokio::test]
async fn given_many_who_renew_one_person_then_one_asks_and_the_others_are_told() {
    let world = signed_in(json!({})).await;
    let row = world.store.provider_account(ana().as_str()).await.unwrap().unwrap();
    assert!(world.store.lease_provider_account(&row, NOW * 1000, (NOW + 10) * 1000).await.unwrap());
    assert!(matches!(renew(&world).await, Err(RenewalError::Busy)));
    assert!(world.idp.asked("refresh_token").is_empty());
    // A caller that needs tokens waits for the replica that holds the lease.
    let who = ana();
    let waiting = world.providers.renewal.identity_tokens(world.gateway(), &who);
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(world.idp.asked("refresh_token").is_empty());
        world.clock.advance(Duration::from_secs(10));
    };
    let (waited, ()) = tokio::join!(waiting, meanwhile);
    assert!(waited.is_ok(), "the replica that held the lease is gone");
    assert_eq!(world.idp.asked("refresh_token").len(), 1);
}

#[tokio::test]
async fn given_somebody_who_acts_for_a_person_when_they_need_tokens_then_they_get_fresh_ones_and_the_same_for_a_while()
 {
    let world = signed_in(json!({})).await;
    let tokens = async || world.providers.renewal.identity_tokens(world.gateway(), &ana()).await;
    let (first, renewed) = tokens().await.ok().unwrap();
    assert!(renewed.is_some());
    assert_eq!(first.access_token.expose_secret(), "an-access-token");
    assert_eq!(first.id_token.as_ref().unwrap().expose_secret().split('.').count(), 3);
    for passed in [0, 299_999] {
        world.clock.advance(Duration::from_millis(passed));
        let (second, renewed) = tokens().await.ok().unwrap();
        assert!(renewed.is_none() && std::sync::Arc::ptr_eq(&first, &second));
    }
    world.clock.advance(Duration::from_millis(1));
    assert!(tokens().await.ok().unwrap().1.is_some());
    world.providers.renewal.delete_refresh_token(&ana()).await.unwrap();
    assert!(matches!(tokens().await, Err(RenewalError::NoRefreshToken)));
}
