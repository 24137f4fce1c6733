//! Re-encryption after a key rotation, with a real store and a real authorization server on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::cell::Cell;
use std::time::Duration;

use portcullis_clock::Random;
use portcullis_keyring::{KeyDocument, Keyring, RotationStatus};
use portcullis_origin_auth::{CredentialBroker, ReencryptProgress};
use portcullis_store::ConnectionRow;
use serde_json::json;
use support::{Harness, ana, token};

const EVERYWHERE: RotationStatus =
    RotationStatus { distributed: true, reencrypted: false, republished: false };

/// Rotates the world's rings until the new keys are the current ones.
fn rotate(world: &Harness) {
    let mut document = KeyDocument::read(&world.keys_file()).unwrap();
    let now = world.clock.now();
    for _ in 0..2 {
        document.advance_rotation(Some("please"), EVERYWHERE, now, &Random::system()).unwrap().unwrap();
    }
    world.keys.replace_with(&Keyring::from_document(&document).unwrap());
}

async fn reseal(broker: &CredentialBroker) -> ReencryptProgress {
    let all = Cell::new(ReencryptProgress::default());
    broker
        .reencryptor
        .reencrypt(|done| {
            let before = all.get();
            all.set(ReencryptProgress {
                rows: before.rows + done.rows,
                unopenable: before.unopenable + done.unopenable,
            });
        })
        .await
        .unwrap();
    all.get()
}

async fn stored(world: &Harness) -> ConnectionRow {
    world.store.connection(ana().as_str(), "origin-uid").await.unwrap().unwrap()
}

/// Requirements: advisory.resealing
#[tokio::test]
async fn given_a_connected_account_when_the_keys_are_rotated_then_it_is_sealed_anew_and_goes_on_without_the_old_key()
 {
    let world = Harness::new().await;
    // A registration whose secret is sealed too.
    world.provider.levers.lock().server =
        json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"]});
    world.connect().await;
    let (before, access) = (stored(&world).await, world.token().await);
    assert_eq!(reseal(&world.broker).await, ReencryptProgress::default(), "nothing was rotated");
    rotate(&world);
    let done = reseal(&world.broker).await;
    assert_eq!(done, ReencryptProgress { rows: 2, unopenable: 0 }, "the tokens and the registration");
    let after = stored(&world).await;
    assert_ne!(after.sealed, before.sealed);
    assert_eq!(after, ConnectionRow { sealed: after.sealed.clone(), ..before });
    assert_eq!(reseal(&world.broker).await, ReencryptProgress::default(), "once");
    // Another replica with an empty cache opens it, and refreshes it.
    let replica = world.replica();
    assert_eq!(token(&replica.credential(&ana(), &world.origin()).await.ok().unwrap()), access);
    world.advance(3600);
    assert_ne!(token(&replica.credential(&ana(), &world.origin()).await.ok().unwrap()), access);
    assert_eq!(world.provider.refreshes(), 1);
}

/// Requirements: advisory.resealing
#[tokio::test]
async fn given_a_refresh_on_its_way_when_its_row_is_sealed_anew_then_the_new_tokens_are_kept() {
    let world = Harness::new().await;
    world.connect().await;
    let old = world.token().await;
    rotate(&world);
    world.provider.levers.lock().delay = Duration::from_millis(300);
    world.advance(3600);
    let (broker, origin) = (world.replica(), world.origin());
    let refreshing = tokio::spawn(async move { broker.credential(&ana(), &origin).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(reseal(&world.broker).await.rows, 1);
    let renewed = token(&refreshing.await.unwrap().ok().unwrap());
    assert_ne!(renewed, old);
    assert_eq!(token(&world.replica().credential(&ana(), &world.origin()).await.ok().unwrap()), renewed);
    assert_eq!(world.provider.refreshes(), 1);
}

/// Requirements: advisory.resealing
#[tokio::test]
async fn given_a_row_that_does_not_open_then_it_is_passed_by_and_the_others_are_sealed_anew() {
    let world = Harness::new().await;
    world.connect().await;
    let good = stored(&world).await;
    // Copied to another person it cannot be opened, because it is bound to the first.
    let stolen = ConnectionRow { principal_id: "another".to_owned(), ..good.clone() };
    world.store.put_connection(&stolen).await.unwrap();
    rotate(&world);
    assert_eq!(reseal(&world.broker).await, ReencryptProgress { rows: 1, unopenable: 1 });
    assert_eq!(reseal(&world.broker).await, ReencryptProgress { rows: 0, unopenable: 1 });
}
