//! Re-encryption of stored refresh tokens after a key rotation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::cell::Cell;

use portcullis_clock::Random;
use portcullis_keyring::{KeyDocument, Keyring, RotationStatus};
use portcullis_policy::PrincipalId;
use portcullis_store::ProviderAccountRow;
use serde_json::json;
use support::TestGateway;

const EVERYWHERE: RotationStatus =
    RotationStatus { distributed: true, reencrypted: false, republished: false };

fn ana() -> PrincipalId {
    PrincipalId::of("company", "1")
}

async fn signed_in() -> TestGateway {
    let world = TestGateway::new().await;
    world.idp.id_token(Some(json!({"email": "a@b.c", "name": "Ana"})));
    world.sign_in(json!({})).await.unwrap();
    world
}

/// Rotates the key rings until the new keys are current.
fn rotate(world: &TestGateway) {
    let mut document = KeyDocument::read(&world.keys_file()).unwrap();
    for _ in 0..2 {
        document
            .advance_rotation(Some("please"), EVERYWHERE, world.clock.now(), &Random::system())
            .unwrap()
            .unwrap();
    }
    world.keys.replace_with(&Keyring::from_document(&document).unwrap());
}

/// Numbers of re-encrypted tokens, and of tokens that could not be decrypted.
async fn reseal(world: &TestGateway) -> (u32, u32) {
    let (anew, unopenable) = (Cell::new(0), Cell::new(0));
    let each = |is_anew: bool| {
        let count = if is_anew { &anew } else { &unopenable };
        count.set(count.get() + 1);
    };
    world.providers.reencryption.run(world.gateway(), each).await.unwrap();
    (anew.get(), unopenable.get())
}

async fn stored(world: &TestGateway) -> ProviderAccountRow {
    world.store.provider_account(ana().as_str()).await.unwrap().unwrap()
}

/// Requirements: advisory.resealing
#[tokio::test]
async fn given_a_sign_in_when_the_keys_are_rotated_then_it_is_sealed_anew_once_and_renewed_with_the_same_token()
 {
    let world = signed_in().await;
    let before = stored(&world).await;
    assert_eq!(reseal(&world).await, (0, 0), "nothing was rotated");
    rotate(&world);
    assert_eq!(reseal(&world).await, (1, 0));
    let after = stored(&world).await;
    assert_ne!(after.sealed, before.sealed);
    assert_eq!(
        after,
        ProviderAccountRow { sealed: after.sealed.clone(), ..before },
        "and nothing else of it changes"
    );
    assert_eq!(reseal(&world).await, (0, 0), "once");
    world.providers.renewal.renew(world.gateway(), &ana(), None).await.unwrap();
    assert_eq!(world.idp.asked("refresh_token")[0]["refresh_token"], "first");
}

/// Requirements: advisory.resealing
#[tokio::test]
async fn given_accounts_that_open_for_nobody_then_they_are_passed_by_and_the_others_are_sealed_anew() {
    let mut world = signed_in().await;
    // Copied to another principal it cannot be decrypted: it is bound to the first.
    let stolen = ProviderAccountRow { principal: "another".to_owned(), ..stored(&world).await };
    world.store.put_provider_account(&stolen).await.unwrap();
    rotate(&world);
    world.set(json!({"clientId": "another-client"}));
    assert_eq!(reseal(&world).await, (0, 2), "given to a client that the gateway is not any more");
    world.set(json!({}));
    assert_eq!(reseal(&world).await, (1, 1));
    assert_eq!(reseal(&world).await, (0, 1));
}
