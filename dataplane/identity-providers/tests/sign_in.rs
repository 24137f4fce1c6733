//! Sign-ins: the authorization request, the issuer check, and the user's claims.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::time::Duration;

use portcullis_identity_providers::ProviderError;
use serde_json::{Value, json};
use support::{TestGateway, parameter};

/// Requirements: idp.request
#[tokio::test]
async fn given_an_openid_provider_when_somebody_signs_in_then_the_browser_goes_with_state_nonce_and_pkce() {
    let world = TestGateway::new().await;
    let (url, proof) = world.begin().await;
    assert!(url.as_str().starts_with(&format!("{}/authorize?", world.idp.issuer)));
    let has = |name: &str| parameter(&url, name);
    assert_eq!(has("response_type").as_deref(), Some("code"));
    assert_eq!(has("state").as_deref(), Some("a-state"));
    assert_eq!(has("redirect_uri").as_deref(), Some("https://gateway.example/login/callback"));
    assert_eq!(has("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(has("scope").as_deref(), Some("openid email"));
    assert_eq!(has("nonce").map(|nonce| nonce.len()), Some(43));
    assert_eq!(has("resource"), None);
    let signed_in = world.answer(&proof, json!({})).await.unwrap();
    assert_eq!(&*signed_in.principal.subject, "company:1");
    let [asked] = &world.idp.asked("authorization_code")[..] else { panic!("asked once") };
    assert_eq!(asked["code"], "a-code");
    assert_eq!(asked["code_verifier"].len(), 43);
}

/// Requirements: idp.offline
#[tokio::test]
async fn given_a_provider_that_lists_offline_access_then_it_is_asked_for_unless_the_settings_forbid() {
    let mut world = TestGateway::new().await;
    world.idp.metadata(json!({"scopes_supported": ["openid", "offline_access"]}));
    let scope = async |world: &TestGateway| parameter(&world.begin().await.0, "scope").unwrap();
    assert_eq!(scope(&world).await, "openid email offline_access");
    world.set(json!({"scopes": ["offline_access", "openid"]}));
    assert_eq!(scope(&world).await, "offline_access openid", "once");
    world.set(json!({"renew": false}));
    assert_eq!(scope(&world).await, "openid email");
    // The metadata is cached for an hour.
    world.set(json!({}));
    world.idp.metadata(json!({"scopes_supported": ["openid", "email"]}));
    world.clock.advance(Duration::from_millis(3_599_999));
    assert_eq!(scope(&world).await, "openid email offline_access");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(scope(&world).await, "openid email");
}

/// Requirements: idp.issuer
#[tokio::test]
async fn given_an_answer_when_it_does_not_name_the_provider_then_it_counts_only_where_that_is_not_promised() {
    let world = TestGateway::new().await;
    assert!(world.sign_in(json!({"iss": null})).await.is_ok());
    let other = json!({"iss": "https://elsewhere.example"});
    assert!(matches!(world.sign_in(other.clone()).await, Err(ProviderError::OtherIssuer)));

    let world = TestGateway::new().await;
    world.idp.metadata(json!({"authorization_response_iss_parameter_supported": true}));
    assert!(world.sign_in(json!({})).await.is_ok());
    for answer in [json!({"iss": null}), other, json!({"iss": null, "code": null, "error": "access_denied"})]
    {
        assert!(matches!(world.sign_in(answer).await, Err(ProviderError::OtherIssuer)));
    }
    let denied = json!({"code": null, "error": "access_denied"});
    assert!(matches!(world.sign_in(denied).await, Err(ProviderError::Refused { .. })));
    assert_eq!(world.idp.asked("authorization_code").len(), 1, "no code was sent for the others");
}

/// Requirements: idp.id-token
#[tokio::test]
async fn given_an_id_token_when_it_is_of_another_sign_in_client_or_issuer_then_nobody_signs_in() {
    let world = TestGateway::new().await;
    for more in [
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"aud": "another-client"}),
        json!({"iss": "https://elsewhere.example"}),
        json!({"exp": 1_700_000_000}),
    ] {
        world.idp.id_token(Some(more.clone()));
        assert!(matches!(world.sign_in(json!({})).await, Err(ProviderError::InvalidResponse(_))), "{more}");
    }
    world.idp.id_token(None);
    assert!(matches!(world.sign_in(json!({})).await, Err(ProviderError::InvalidResponse(_))));
    world.idp.id_token(Some(json!({})));
    world.idp.userinfo(json!({"sub": "2", "groups": ["admins"]}));
    assert!(
        matches!(world.sign_in(json!({})).await, Err(ProviderError::InvalidResponse(_))),
        "userinfo of another user"
    );
}

#[tokio::test]
async fn given_an_id_token_then_userinfo_is_asked_only_where_it_leaves_something_out() {
    let world = TestGateway::new().await;
    let whole = json!({"email": "a@b.c", "name": "Ana", "groups": ["finance"]});
    // Shows whether it was asked.
    world.idp.userinfo(json!({"sub": "2"}));
    world.idp.id_token(Some(whole.clone()));
    assert!(world.sign_in(json!({})).await.is_ok());
    for name in ["email", "name", "groups"] {
        let mut lacking = whole.clone();
        lacking.as_object_mut().unwrap().remove(name);
        world.idp.id_token(Some(lacking));
        assert!(matches!(world.sign_in(json!({})).await, Err(ProviderError::InvalidResponse(_))), "{name}");
    }
}

/// Requirements: idp.id-token
#[tokio::test]
async fn given_new_keys_when_an_id_token_is_signed_with_them_then_they_are_looked_up_but_not_at_each_one() {
    let world = TestGateway::new().await;
    assert!(world.sign_in(json!({})).await.is_ok());
    world.idp.rotate();
    assert!(world.sign_in(json!({})).await.is_err(), "they were looked up a moment ago");
    world.clock.advance(Duration::from_millis(9_999));
    assert!(world.sign_in(json!({})).await.is_err(), "less than ten seconds ago");
    world.clock.advance(Duration::from_millis(1));
    assert!(world.sign_in(json!({})).await.is_ok());
}

#[tokio::test]
async fn given_metadata_and_keys_that_cannot_be_had_any_more_then_those_of_before_go_on() {
    let world = TestGateway::new().await;
    world.idp.metadata(Value::Null);
    let proof = world.providers.sign_in.new_secrets().unwrap();
    assert!(matches!(world.answer(&proof, json!({})).await, Err(ProviderError::Unavailable(_))));
    world.idp.metadata(json!({}));
    // A failure is remembered for a second.
    world.clock.advance(Duration::from_secs(1));
    assert!(world.sign_in(json!({})).await.is_ok());
    world.idp.metadata(Value::Null);
    world.clock.advance(Duration::from_secs(3600));
    world.idp.id_token(Some(json!({"exp": support::NOW + 7200})));
    assert!(world.sign_in(json!({})).await.is_ok());
}

/// Requirements: idp.oauth
#[tokio::test]
async fn given_an_oauth_site_when_somebody_signs_in_then_who_it_is_comes_from_userinfo_alone() {
    let names = json!({"subject": "id", "email": "email", "name": "login", "groups": "orgs"});
    let world = TestGateway::with(json!({"userinfo": true, "scopes": [], "claims": names})).await;
    world.idp.metadata(
        json!({"scopes_supported": ["offline_access"], "token_endpoint_auth_methods_supported": ["none"]}),
    );
    let user = json!({"id": 583_231, "login": "ana", "email": "ana@site.example", "orgs": ["finance"]});
    world.idp.userinfo(user.clone());
    // An id_token of an OAuth server is ignored, because it is not verified.
    world.idp.id_token(Some(json!({"sub": "somebody else", "sid": "laptop"})));
    let (url, proof) = world.begin().await;
    assert_eq!((parameter(&url, "scope"), parameter(&url, "nonce")), (None, None));
    assert_eq!(parameter(&url, "code_challenge_method").as_deref(), Some("S256"));
    let signed_in = world.answer(&proof, json!({})).await.unwrap();
    assert_eq!(&*signed_in.principal.subject, "company:583231");
    assert_eq!(signed_in.principal.email, None, "it is not verified");
    assert_eq!(signed_in.principal.groups, ["finance".into()]);
    assert_eq!(signed_in.provider_session, None);
    for nobody in [json!({"login": "ana"}), json!({"id": null}), Value::Null] {
        world.idp.userinfo(nobody);
        assert!(matches!(world.sign_in(json!({})).await, Err(ProviderError::InvalidResponse(_))));
    }
}
