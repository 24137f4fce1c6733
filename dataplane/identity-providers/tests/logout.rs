//! OpenID Connect Back-Channel Logout 1.0: validation of logout tokens, and the principals that they name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use portcullis_identity_providers::{LogoutError, LogoutRequest};
use portcullis_policy::PrincipalId;
use serde_json::{Value, json};
use support::{NOW, TestGateway, sign};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The claims of a valid logout token, with these changes. `null` removes a claim.
fn claims(world: &TestGateway, changes: &Value) -> Value {
    let mut claims = json!({
        "iss": world.idp.issuer, "aud": "portcullis", "sub": "1", "sid": "laptop", "iat": NOW, "exp": NOW + 120, "jti": "j",
        "events": {EVENT: {}},
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

async fn log_out(world: &TestGateway, changes: Value) -> Result<LogoutRequest, LogoutError> {
    let token = world.idp.sign("logout+jwt", &claims(world, &changes));
    world.providers.logout.verify(world.provider(), &token).await
}

async fn refused(world: &TestGateway, changes: Value) -> &'static str {
    log_out(world, changes.clone()).await.err().unwrap_or_else(|| panic!("taken: {changes}")).reason()
}

fn ana() -> PrincipalId {
    PrincipalId::of("company", "1")
}

/// Requirements: idp.logout
#[tokio::test]
async fn given_a_sound_logout_token_then_it_names_the_person_and_the_session_of_the_sign_in() {
    let world = TestGateway::new().await;
    world.idp.id_token(Some(json!({"sid": "laptop"})));
    let signed_in = world.sign_in(json!({})).await.unwrap();
    let both = log_out(&world, json!({})).await.unwrap();
    assert_eq!((both.people, both.provider_session.clone()), (vec![ana()], signed_in.provider_session));
    assert!(both.provider_session.is_some());
    let person = log_out(&world, json!({"sid": null})).await.unwrap();
    assert_eq!((person.people, person.provider_session), (vec![ana()], None));
    let session = log_out(&world, json!({"sub": null})).await.unwrap();
    assert_eq!((session.people, session.provider_session), (Vec::new(), both.provider_session));
}

/// Requirements: idp.logout.token
#[tokio::test]
async fn given_a_logout_token_when_it_says_something_else_than_it_must_then_nobody_is_logged_out() {
    let world = TestGateway::new().await;
    for (changes, reason) in [
        (json!({"iss": "https://elsewhere.example"}), "assertion_mismatch"),
        (json!({"iss": null}), "assertion_malformed"),
        (json!({"aud": "another-client"}), "assertion_mismatch"),
        (json!({"aud": ["portcullis", "another-client"]}), "assertion_mismatch"),
        (json!({"aud": null}), "assertion_malformed"),
        (json!({"iat": null}), "assertion_malformed"),
        (json!({"iat": NOW + 300}), "assertion_time"),
        (json!({"exp": null}), "assertion_malformed"),
        (json!({"exp": NOW - 300}), "assertion_time"),
        (json!({"exp": NOW + 7200}), "assertion_time"),
        (json!({"jti": null}), "assertion_malformed"),
        (json!({"events": null}), "assertion_malformed"),
        (json!({"events": {}}), "assertion_malformed"),
        (json!({"events": {EVENT: true}}), "assertion_malformed"),
        (json!({"events": [EVENT]}), "assertion_malformed"),
        (json!({"nonce": "n"}), "assertion_mismatch"),
        (json!({"sub": null, "sid": null}), "assertion_malformed"),
        (json!({"sub": ""}), "assertion_malformed"),
        (json!({"sid": 1}), "assertion_malformed"),
    ] {
        assert_eq!(refused(&world, changes.clone()).await, reason, "{changes}");
    }
    assert!(log_out(&world, json!({"aud": ["portcullis"]})).await.is_ok());
}

/// Requirements: idp.logout.token
#[tokio::test]
async fn given_a_logout_token_when_another_key_or_type_is_used_then_it_does_not_count() {
    let world = TestGateway::new().await;
    let claims = claims(&world, &json!({}));
    let reason = async |token: &str| {
        world.providers.logout.verify(world.provider(), token).await.err().map(|it| it.reason())
    };
    assert_eq!(reason(&sign(9, "logout+jwt", &claims)).await, Some("assertion_signature"));
    assert_eq!(reason(&world.idp.sign("at+jwt", &claims)).await, Some("assertion_malformed"));
    assert_eq!(reason(&world.idp.sign("JWT", &claims)).await, None, "of before there was a type for it");
    let unsigned = world.idp.sign("logout+jwt", &claims);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    assert_eq!(reason(&unsigned).await, Some("assertion_signature"));
    assert_eq!(reason("no token").await, Some("assertion_malformed"));
}

/// Requirements: idp.logout.token
#[tokio::test]
async fn given_a_logout_token_when_it_was_carried_out_then_it_does_not_count_again_and_not_before() {
    let world = TestGateway::new().await;
    let first = log_out(&world, json!({})).await.unwrap();
    // It failed halfway: the provider tries again, with the same token.
    let again = log_out(&world, json!({})).await.unwrap();
    world.providers.logout.mark_done(&first).await.unwrap();
    assert_eq!(refused(&world, json!({})).await, "assertion_reused");
    world.providers.logout.mark_done(&again).await.unwrap();
    assert!(log_out(&world, json!({"jti": "another"})).await.is_ok());
}

/// Requirements: idp.logout
#[tokio::test]
async fn given_people_whose_subject_is_another_claim_then_their_provider_logs_them_out_by_its_sub() {
    let world = TestGateway::with(
        json!({"claims": {"subject": "oid", "email": "email", "name": "name", "groups": "groups"}}),
    )
    .await;
    world.idp.id_token(Some(json!({"oid": "object-1"})));
    let signed_in = world.sign_in(json!({})).await.unwrap();
    assert_eq!(&*signed_in.principal.subject, "company:object-1");
    assert_eq!(log_out(&world, json!({})).await.unwrap().people, [signed_in.principal.id]);
    // The principal comes from `oid`, so a `sub` with the same value names no principal.
    assert!(log_out(&world, json!({"sub": "object-1"})).await.unwrap().people.is_empty());
}

#[tokio::test]
async fn given_a_site_without_openid_then_it_cannot_log_anybody_out() {
    let world = TestGateway::with(json!({"userinfo": true})).await;
    assert!(matches!(log_out(&world, json!({})).await, Err(LogoutError::NotOpenId)));
}
