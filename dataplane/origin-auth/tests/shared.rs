//! One account shared by all users, against a real authorization server on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use portcullis_config::{ClientRegistration, OriginAuth};
use portcullis_events::{AuthMode, EventKind};
use portcullis_origin_auth::{ConnectError, ConnectionStatus, Credential, CredentialError};
use portcullis_policy::PrincipalId;
use support::{BROWSER, Harness, Settings, ana, table, token};

fn settings() -> Settings {
    let auth = |_: &_| OriginAuth::SharedOAuth { scopes: Vec::new(), registration: ClientRegistration::Auto };
    Settings { auth: Some(auth), ..Settings::default() }
}

async fn connect(world: &Harness) {
    let (gateway, origin) = (&world.table.gateway, world.origin());
    let url =
        world.broker.connect_flows.begin_shared(gateway, &origin, BROWSER, "/admin/origins").await.unwrap();
    let finished = world.finish(&world.provider.consent(&url)).await.unwrap();
    assert_eq!(finished.return_to, "/admin/origins");
    assert_eq!(finished.who, PrincipalId::shared());
}

fn lacks(result: Result<Credential, CredentialError>) -> ConnectionStatus {
    match result.err().unwrap() {
        CredentialError::NotConnected(status) => status,
        other => panic!("{other}"),
    }
}

/// Requirements: client.shared
#[tokio::test]
async fn given_nobody_has_connected_it_then_people_are_told_that_an_administrator_has_to() {
    let world = Harness::with(settings()).await;
    let origin = world.origin();
    assert_eq!(lacks(world.broker.credential(&ana(), &origin).await), ConnectionStatus::AdminNeeded);
    assert_eq!(world.broker.accounts.status(&ana(), &origin).await.unwrap(), ConnectionStatus::AdminNeeded);
    assert_eq!(
        world.broker.accounts.shared_account(&origin).await.unwrap().status,
        ConnectionStatus::NeverConnected
    );
    assert!(
        matches!(world.begin().await, Err(ConnectError::NotNeeded)),
        "nobody connects an account of their own"
    );
}

#[tokio::test]
async fn given_it_is_connected_once_then_everybodys_calls_go_out_with_it_at_every_replica() {
    let world = Harness::with(settings()).await;
    let mut changes = world.broker.changes();
    connect(&world).await;
    let change = changes.recv().await.unwrap();
    assert!(change.connected && change.who == PrincipalId::shared());
    let mine = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    assert_eq!(mine.mode(), AuthMode::SharedOauth);
    let bob = PrincipalId::of("company", "bob");
    let theirs = world.replica().credential(&bob, &world.origin()).await.ok().unwrap();
    assert_eq!(token(&mine), token(&theirs));
    assert_eq!(
        world.broker.accounts.status(&bob, &world.origin()).await.unwrap(),
        ConnectionStatus::NotNeeded
    );
    let account = world.broker.accounts.shared_account(&world.origin()).await.unwrap();
    assert_eq!((account.status, account.scopes), (ConnectionStatus::Connected, vec!["read".to_owned()]));
    assert_eq!(world.store.count_connections_at("origin-uid").await.unwrap(), 1);
    let events = world.events.drain();
    let connected = events.iter().find(|event| event.event == EventKind::Connected).unwrap();
    assert_eq!((connected.auth_mode, connected.subject.is_none()), (Some(AuthMode::SharedOauth), true));
}

#[tokio::test]
async fn given_it_expires_then_one_refresh_serves_everybody() {
    let world = Harness::with(settings()).await;
    connect(&world).await;
    world.advance(3600);
    let first = token(&world.broker.credential(&ana(), &world.origin()).await.ok().unwrap());
    let bob = PrincipalId::of("company", "bob");
    assert_eq!(token(&world.replica().credential(&bob, &world.origin()).await.ok().unwrap()), first);
    assert_eq!(world.provider.refreshes(), 1);
}

#[tokio::test]
async fn given_its_grant_dies_then_an_administrator_has_to_connect_it_again() {
    let world = Harness::with(settings()).await;
    connect(&world).await;
    world.provider.levers.lock().dead = true;
    world.advance(3600);
    assert_eq!(lacks(world.broker.credential(&ana(), &world.origin()).await), ConnectionStatus::AdminNeeded);
    assert_eq!(
        world.broker.accounts.shared_account(&world.origin()).await.unwrap().status,
        ConnectionStatus::ReconnectNeeded
    );
    world.provider.levers.lock().dead = false;
    connect(&world).await;
    world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
}

/// Requirements: client.shared
#[tokio::test]
async fn given_a_person_disconnects_then_it_stays_and_when_an_administrator_does_then_it_goes() {
    let world = Harness::with(settings()).await;
    connect(&world).await;
    world.broker.disconnector.disconnect(&ana(), &world.origin()).await.unwrap();
    assert_eq!(
        world.broker.disconnector.disconnect_everywhere(&ana(), |_| Some(world.origin())).await.unwrap(),
        0
    );
    world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    assert_eq!(world.broker.disconnector.disconnect_everybody(&world.origin()).await.unwrap(), 1);
    assert_eq!(lacks(world.broker.credential(&ana(), &world.origin()).await), ConnectionStatus::AdminNeeded);
    for _ in 0..100 {
        if world.provider.levers.lock().revoked.len() == 2 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the tokens are not revoked at the provider");
}

/// Requirements: client.shared
#[tokio::test]
async fn given_an_origin_where_each_person_has_their_own_account_then_none_is_connected_for_everybody() {
    let world = Harness::new().await;
    let (gateway, origin) = (&world.table.gateway, world.origin());
    let begun = world.broker.connect_flows.begin_shared(gateway, &origin, BROWSER, "/").await;
    assert!(matches!(begun, Err(ConnectError::NotNeeded)));
    // The shared account is not used once the origin requires personal accounts.
    let world = Harness::with(settings()).await;
    connect(&world).await;
    let personal = table(&world.provider.base, &Settings::default());
    let found = world.broker.credential(&ana(), personal.origin("o1").unwrap()).await;
    assert_eq!(lacks(found), ConnectionStatus::NeverConnected);
}
