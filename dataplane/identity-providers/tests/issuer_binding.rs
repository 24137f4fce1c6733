//! The name of a provider is bound to its issuer and subject claim at the first sign-in.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use portcullis_identity_providers::{BindingError, ProviderError};
use serde_json::json;
use support::TestGateway;

async fn sign_in(world: &TestGateway) -> Result<String, ProviderError> {
    world.sign_in(json!({})).await.map(|signed_in| signed_in.principal.subject.to_string())
}

#[tokio::test]
async fn given_another_provider_of_the_same_name_then_its_users_are_refused() {
    let mut world = TestGateway::new().await;
    assert_eq!(sign_in(&world).await.unwrap(), "company:1");
    assert_eq!(sign_in(&world).await.unwrap(), "company:1");
    world.bind_to("https://another.example", "sub").await;
    let refused = sign_in(&world).await.err().unwrap();
    assert!(matches!(refused, ProviderError::IssuerChanged), "{refused}");
    assert_eq!(refused.reason(), "issuer_changed");
    assert!(refused.to_string().contains("previousIssuers"));
    // Nothing of the refused sign-in was stored.
    let bound = world.store.provider_issuer("company").await.unwrap().unwrap();
    assert_eq!(bound.issuer, "https://another.example");
    world.previous_issuers(&["https://unrelated.example"]);
    assert!(sign_in(&world).await.is_err());
    world.previous_issuers(&["https://another.example"]);
    assert_eq!(sign_in(&world).await.unwrap(), "company:1");
    let bound = world.store.provider_issuer("company").await.unwrap().unwrap();
    assert_eq!(bound.issuer, world.idp.issuer);
    // Bound to the new issuer: the old one is no longer needed.
    world.previous_issuers(&[]);
    assert_eq!(sign_in(&world).await.unwrap(), "company:1");
}

#[tokio::test]
async fn given_another_subject_claim_of_the_same_issuer_then_it_is_refused_unless_the_issuer_is_listed() {
    let mut world = TestGateway::new().await;
    let issuer = world.idp.issuer.clone();
    world.bind_to(&issuer, "oid").await;
    assert!(matches!(sign_in(&world).await, Err(ProviderError::IssuerChanged)));
    world.previous_issuers(&[&issuer]);
    assert_eq!(sign_in(&world).await.unwrap(), "company:1");
}

#[tokio::test]
async fn given_a_failed_sign_in_then_it_binds_nothing() {
    let world = TestGateway::new().await;
    let (_, proof) = world.begin().await;
    assert!(world.answer(&proof, json!({"error": "access_denied", "code": null})).await.is_err());
    assert_eq!(world.store.provider_issuer("company").await.unwrap(), None);
    // A logout request or an assertion is checked, but only the latter binds.
    world.providers.bindings.check(world.provider()).await.unwrap();
    assert_eq!(world.store.provider_issuer("company").await.unwrap(), None);
    world.bind_to("https://another.example", "sub").await;
    assert!(matches!(
        world.providers.bindings.check(world.provider()).await,
        Err(BindingError::IssuerChanged)
    ));
}
