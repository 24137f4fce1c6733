//! Token exchange with a real authorization server and a real identity provider on loopback. Only the
//! sessions at that provider are simulated.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::{AuthorizationServer, OriginAuth, SubjectToken};
use portcullis_events::{AuthMode, FailureOrigin, Outcome};
use portcullis_origin_auth::{
    ConnectionStatus, CredentialError, IdentityProviderClient, IdentityToken, IdentityTokenError,
    IdentityTokenFuture, IdentityTokenSource,
};
use portcullis_policy::PrincipalId;
use support::provider::{ID_JAG, JWT_BEARER, TOKEN_EXCHANGE};
use support::{Harness, Settings, ana, by_hand, table, token};
use tokio::task::JoinSet;
use url::Url;

/// Ana and Bob have signed in; the provider has ended the session of `ended`, and is unavailable for `away`.
struct Sessions {
    issuer: String,
}

impl IdentityTokenSource for Sessions {
    fn token<'a>(&'a self, who: &'a PrincipalId, kind: SubjectToken) -> IdentityTokenFuture<'a> {
        Box::pin(async move {
            let is = |name| *who == PrincipalId::of("company", name);
            let kind = match kind {
                SubjectToken::IdToken => "id-token",
                SubjectToken::AccessToken => "access-token",
            };
            let name = ["ana", "bob"].into_iter().find(|name| is(name));
            let name = match name {
                Some(name) => name,
                None if is("ended") => return Err(IdentityTokenError::Refused("invalid_grant".to_owned())),
                None if is("away") => return Err(IdentityTokenError::Unavailable("no route".into())),
                None => return Err(IdentityTokenError::NoSession),
            };
            Ok(IdentityToken {
                token: format!("{kind}-of-{name}").into(),
                provider: IdentityProviderClient {
                    issuer: self.issuer.clone(),
                    client_id: "portcullis".to_owned(),
                    client_secret: Some("the idp knows us".into()),
                    private_networks: vec!["127.0.0.0/8".parse().unwrap()],
                    ca_bundle_pem: None,
                },
            })
        })
    }
}

fn settings(auth: fn(&Url) -> OriginAuth) -> Settings {
    Settings {
        auth: Some(auth),
        identities: Some(|base| Arc::new(Sessions { issuer: format!("{base}idp") })),
        secret_hosts: vec!["127.0.0.1".to_owned()],
        ..Settings::default()
    }
}

fn exchange(base: &Url, scopes: &[&str], hosts: Option<&[&str]>) -> OriginAuth {
    OriginAuth::TokenExchange {
        server: AuthorizationServer::Issuer(format!("{base}tenant")),
        client: by_hand(),
        audience: Some("the-origin".to_owned()),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        subject_token: SubjectToken::AccessToken,
        subject_hosts: hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect()),
    }
}

fn exchanging() -> Settings {
    settings(|base| exchange(base, &["read"], Some(&["127.0.0.*"])))
}

fn asserting() -> Settings {
    settings(|base| OriginAuth::IdJag {
        issuer: format!("{base}tenant"),
        client: by_hand(),
        scopes: vec!["read".to_owned()],
    })
}

async fn error(world: &Harness, name: &str) -> CredentialError {
    let who = PrincipalId::of("company", name);
    world.broker.credential(&who, &world.origin()).await.err().unwrap()
}

/// Requirements: client.exchange
#[tokio::test]
async fn given_a_sign_in_then_it_is_exchanged_for_a_token_of_this_person_and_this_origin() {
    let world = Harness::with(exchanging()).await;
    let credential = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    assert_eq!(credential.mode(), AuthMode::TokenExchange);
    let requests = world.provider.requests(TOKEN_EXCHANGE);
    assert_eq!(requests.len(), 1);
    for (name, value) in [
        ("subject_token", "access-token-of-ana"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", "the-origin"),
        ("resource", world.origin().url.as_str()),
        ("scope", "read"),
    ] {
        assert_eq!(requests[0].get(name).map(String::as_str), Some(value), "{name}");
    }
    let bob = PrincipalId::of("company", "bob");
    let his = world.broker.credential(&bob, &world.origin()).await.ok().unwrap();
    assert_ne!(token(&his), token(&credential));
    assert_eq!(world.provider.requests(TOKEN_EXCHANGE)[1]["subject_token"], "access-token-of-bob");
    assert_eq!(
        world.broker.accounts.status(&ana(), &world.origin()).await.unwrap(),
        ConnectionStatus::NotNeeded
    );
}

/// Requirements: client.id-jag
#[tokio::test]
async fn given_a_sign_in_then_the_provider_asserts_it_to_the_origins_server_and_to_no_other() {
    let world = Harness::with(asserting()).await;
    let credential = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    assert_eq!(credential.mode(), AuthMode::IdJag);
    let asserted = world.provider.requests(TOKEN_EXCHANGE);
    for (name, value) in [
        ("requested_token_type", ID_JAG),
        ("audience", world.provider.issuer().as_str()),
        ("resource", world.origin().url.as_str()),
        ("subject_token", "id-token-of-ana"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("scope", "read"),
    ] {
        assert_eq!(asserted[0].get(name).map(String::as_str), Some(value), "{name}");
    }
    let presented = world.provider.requests(JWT_BEARER);
    assert_eq!((asserted.len(), presented.len()), (1, 1));
    assert!(presented[0]["assertion"].starts_with("plain-id-jag"));
    assert_eq!(presented[0]["scope"], "read");
    assert!(
        !presented[0].values().any(|value| value.contains("id-token")),
        "the identity token goes nowhere else"
    );
}

#[tokio::test]
async fn given_no_scopes_then_none_are_asked_for_anywhere() {
    let unscoped = settings(|base| OriginAuth::IdJag {
        issuer: format!("{base}tenant"),
        client: by_hand(),
        scopes: Vec::new(),
    });
    for settings in [settings(|base| exchange(base, &[], None)), unscoped] {
        let world = Harness::with(settings).await;
        world.token().await;
        let requests = world.provider.levers.lock().token_requests.clone();
        assert!(requests.iter().all(|form| !form.contains_key("scope")), "{requests:?}");
    }
}

/// Requirements: client.id-jag
#[tokio::test]
async fn given_an_identity_provider_that_issues_something_else_then_it_is_not_presented() {
    let world = Harness::with(asserting()).await;
    world.provider.levers.lock().issues = "urn:ietf:params:oauth:token-type:access_token";
    assert!(matches!(error(&world, "ana").await, CredentialError::Refused(_)));
    assert!(world.provider.requests(JWT_BEARER).is_empty());
}

/// Requirements: client.exchange
#[tokio::test]
async fn given_a_token_then_it_serves_every_replica_until_it_is_about_to_expire_and_then_one_of_them_exchanges_anew()
 {
    for settings in [exchanging(), asserting()] {
        let world = Harness::with(settings).await;
        let first = world.token().await;
        let elsewhere = world.replica().credential(&ana(), &world.origin()).await.ok().unwrap();
        assert_eq!(token(&elsewhere), first);
        assert_eq!(world.provider.requests(TOKEN_EXCHANGE).len(), 1);
        world.advance(3600);
        let brokers = [world.broker.clone(), world.replica()];
        let mut calls = JoinSet::new();
        for broker in brokers.iter().cycle().take(8) {
            let (broker, origin) = (broker.clone(), world.origin());
            calls.spawn(async move { broker.credential(&ana(), &origin).await.ok().map(|it| token(&it)) });
        }
        let tokens = calls.join_all().await;
        assert!(tokens.iter().all(|each| each.is_some() && *each == tokens[0]), "{tokens:?}");
        assert_ne!(tokens[0].as_ref(), Some(&first));
        assert_eq!(world.provider.requests(TOKEN_EXCHANGE).len(), 2);
    }
}

#[tokio::test]
async fn given_a_replica_that_has_not_seen_a_token_when_its_last_minute_begins_then_it_exchanges_first() {
    let world = Harness::with(exchanging()).await;
    world.replaces_in_its_last_minute().await;
}

#[tokio::test]
async fn given_a_token_that_the_origin_refuses_then_it_is_exchanged_anew_once() {
    let world = Harness::with(exchanging()).await;
    let refused = world.broker.credential(&ana(), &world.origin()).await.ok().unwrap();
    let renewed = world.broker.renew(&ana(), &world.origin(), &refused).await.ok().unwrap();
    assert_ne!(token(&renewed), token(&refused));
    let again = world.broker.renew(&ana(), &world.origin(), &renewed).await;
    assert!(matches!(again, Err(CredentialError::Rejected)));
    assert_eq!(world.provider.requests(TOKEN_EXCHANGE).len(), 2);
}

/// Requirements: client.exchange
#[tokio::test]
async fn given_no_session_at_the_identity_provider_then_the_person_has_to_sign_in_again() {
    let world = Harness::with(exchanging()).await;
    for name in ["nobody", "ended"] {
        let lack = error(&world, name).await;
        assert!(
            matches!(lack, CredentialError::NotConnected(ConnectionStatus::SignInNeeded)),
            "{name}: {lack}"
        );
    }
    assert!(matches!(error(&world, "away").await, CredentialError::Unavailable(_)));
    assert!(world.provider.requests(TOKEN_EXCHANGE).is_empty());
    let reasons: Vec<_> = world.events.drain().iter().filter_map(|event| event.reason).collect();
    assert_eq!(
        reasons,
        ["no_identity_session", "identity_provider_refused", "identity_provider_unreachable"]
    );
}

/// Requirements: client.exchange
#[tokio::test]
async fn given_an_exchange_that_is_refused_then_nothing_of_before_is_used_and_no_secret_is_told() {
    for settings in [exchanging(), asserting()] {
        let world = Harness::with(settings).await;
        world.token().await;
        world.provider.levers.lock().refuses = Some("access_denied");
        world.advance(3600 - 30);
        // The last minute of the earlier token. Access was withdrawn meanwhile.
        for _ in 0..100 {
            if world.broker.credential(&ana(), &world.origin()).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let refused = error(&world, "ana").await;
        assert!(matches!(&refused, CredentialError::Refused(_)), "{refused}");
        assert!(refused.to_string().contains("access_denied"), "{refused}");
        assert_eq!(world.store.count_connections_at("origin-uid").await.unwrap(), 0);
        let asked = world.provider.requests(TOKEN_EXCHANGE).len();
        error(&world, "ana").await;
        assert_eq!(world.provider.requests(TOKEN_EXCHANGE).len(), asked, "not at every call");
        let events = world.events.drain();
        let last = events.last().unwrap();
        assert_eq!((last.outcome, last.reason), (Outcome::Denied, Some("exchange_refused")));
        assert_eq!(last.failure_origin, Some(FailureOrigin::Client));
        let told = format!("{events:?} {refused}");
        assert!(!told.contains("-of-ana") && !told.contains("plain-"), "{told}");
        world.provider.levers.lock().refuses = None;
        world.advance(6);
        world.token().await;
    }
}

#[tokio::test]
async fn given_a_server_that_does_not_answer_then_a_token_that_is_still_good_goes_on() {
    let world = Harness::with(exchanging()).await;
    let first = world.token().await;
    world.provider.levers.lock().down = true;
    world.advance(3600 - 30);
    for _ in 0..3 {
        assert_eq!(world.token().await, first);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The same at a replica with an empty cache.
    let cold = world.replica().credential(&ana(), &world.origin()).await.ok().unwrap();
    assert_eq!(token(&cold), first);
    world.advance(31);
    assert!(matches!(error(&world, "ana").await, CredentialError::Unavailable(_)));
}

/// Requirements: client.exchange.hosts
#[tokio::test]
async fn given_a_host_that_tenancy_does_not_name_then_no_identity_token_is_sent_there() {
    let world = Harness::with(settings(|base| exchange(base, &[], Some(&["sts.example"])))).await;
    let refused = error(&world, "ana").await.to_string();
    assert!(refused.contains("identityTokenHosts"), "{refused}");
    assert!(world.provider.levers.lock().token_requests.is_empty());
}

/// Requirements: client.exchange
#[tokio::test]
async fn given_settings_that_change_then_a_token_of_before_is_not_used() {
    let world = Harness::with(exchanging()).await;
    world.token().await;
    let wider = settings(|base| exchange(base, &["read", "write"], None));
    let moved = Settings { path: "/other", ..exchanging() };
    for changed in [wider, moved] {
        let changed = Arc::clone(table(&world.provider.base, &changed).origin("o1").unwrap());
        let before = world.provider.requests(TOKEN_EXCHANGE).len();
        world.broker.credential(&ana(), &changed).await.ok().unwrap();
        let requests = world.provider.requests(TOKEN_EXCHANGE);
        assert_eq!(requests.len(), before + 1);
        assert_eq!(requests[before]["resource"], changed.url.as_str());
    }
    // A connection by consent is not used as an exchanged token.
    let world = Harness::with(Settings {
        secret_hosts: vec!["127.0.0.1".to_owned()],
        ..Settings::registered_by_hand(&["127.0.0.1"])
    })
    .await;
    world.connect().await;
    let exchanged = table(&world.provider.base, &exchanging());
    let found = world.broker.credential(&ana(), exchanged.origin("o1").unwrap()).await;
    assert!(found.is_err(), "there is no session");
}

#[tokio::test]
async fn given_everything_of_a_person_is_disconnected_then_their_tokens_go_too() {
    let world = Harness::with(exchanging()).await;
    world.token().await;
    assert_eq!(
        world.broker.disconnector.disconnect_everywhere(&ana(), |_| Some(world.origin())).await.unwrap(),
        1
    );
    assert_eq!(world.store.count_connections_at("origin-uid").await.unwrap(), 0);
}
