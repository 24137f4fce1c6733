//! Access tokens across replicas, routes, key rotations and outages.

use portcullis_clock::Random;
use portcullis_keyring::Keyring;

use super::*;
use crate::testing::{TestServer, ana};

fn invalid(result: Result<Arc<Caller>, AuthenticateError>) -> &'static str {
    match result {
        Err(AuthenticateError::Invalid(reason)) => reason,
        Err(AuthenticateError::Unavailable) => "unavailable",
        Err(AuthenticateError::InsufficientScope) => "insufficient_scope",
        Ok(_) => "honoured",
    }
}

#[tokio::test]
async fn given_a_token_when_shown_then_the_person_behind_it_is_as_last_described() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let issued = world.tokens(&client, "a").await;
    let token = issued.text("access_token");
    let caller = world.authenticate(token, "a").await.unwrap();
    assert_eq!(
        (&caller.principal, &*caller.client_name, &*caller.client_id),
        (&ana(), "Test", client.id.as_str())
    );
    assert!(Arc::ptr_eq(&caller, &world.authenticate(token, "a").await.unwrap()), "remembered");

    let described_anew = Principal::new("company", "ana", None, Some("Ana"), ["readers"]);
    world.identity.principals.save(&described_anew).await.unwrap();
    assert_eq!(world.authenticate(token, "a").await.unwrap().principal, described_anew);
}

#[tokio::test]
async fn given_a_person_described_anew_at_another_replica_when_the_log_is_read_then_it_is_known_here() {
    let world = TestServer::new(&["a"]).await;
    let other = world.replica(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    let token = issued.text("access_token");
    assert!(other.authenticate(token, "a").await.is_ok());
    let anew = Principal::new("company", "ana", None, None, ["readers"]);
    world.identity.principals.save(&anew).await.unwrap();
    world.advance(1);
    other.identity.feed_reader.read().await.unwrap();
    assert_eq!(other.authenticate(token, "a").await.unwrap().principal, anew);
}

/// Requirements: as.token.audience
#[tokio::test]
async fn given_a_token_when_it_is_for_another_route_then_it_is_not_honoured() {
    let world = TestServer::new(&["a", "b"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    assert_eq!(invalid(world.authenticate(issued.text("access_token"), "b").await), WRONG_AUDIENCE);
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
    assert_eq!(invalid(world.authenticate(issued.text("access_token"), "b").await), WRONG_AUDIENCE);
}

/// Requirements: as.token.audience
#[tokio::test]
async fn given_a_token_when_another_route_has_taken_the_slug_then_it_is_not_honoured() {
    let world = TestServer::new(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
    world.swap(&["a"], |contract| contract.routes[0].uid = "uid-another".to_owned());
    assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), WRONG_AUDIENCE);
}

/// Requirements: as.token.audience
#[tokio::test]
async fn given_a_token_of_our_key_when_its_issuer_or_audience_is_not_ours_then_it_is_not_honoured() {
    let world = TestServer::new(&["a", "b"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    let claims: AccessClaims =
        world.keys.signing.verify(ACCESS_TOKEN_TYPE, issued.text("access_token")).unwrap();
    let (ours, b) = ("https://gateway.example/mcp/a", "https://gateway.example/mcp/b");
    for (iss, aud, honoured) in [
        (ours, ours, true),
        ("https://gateway.example", ours, true),
        (b, ours, false),
        ("https://gateway.example/", ours, false),
        ("https://elsewhere.example", ours, false),
        (ours, b, false),
        (ours, "https://gateway.example", false),
    ] {
        let claims = AccessClaims { iss: iss.to_owned(), aud: aud.to_owned(), ..claims.clone() };
        let token = world.keys.signing.sign(ACCESS_TOKEN_TYPE, &claims).unwrap();
        assert_eq!(world.authenticate(&token, "a").await.is_ok(), honoured, "{iss} {aud}");
    }
    let of_another_type = world.keys.signing.sign("jwt", &claims).unwrap();
    for token in [of_another_type.as_str(), "", "x", &"x".repeat(100_000)] {
        assert_eq!(invalid(world.authenticate(token, "a").await), NOT_ISSUED_HERE);
    }
}

#[tokio::test]
async fn given_a_token_of_our_key_when_it_is_longer_than_any_we_give_then_it_is_not_looked_at() {
    let world = TestServer::new(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    let claims: AccessClaims =
        world.keys.signing.verify(ACCESS_TOKEN_TYPE, issued.text("access_token")).unwrap();
    let mut seen = Vec::new();
    for name in 5_000..5_800 {
        let claims = AccessClaims { client_name: "x".repeat(name), ..claims.clone() };
        let token = world.keys.signing.sign(ACCESS_TOKEN_TYPE, &claims).unwrap();
        if token.len().abs_diff(MAX_TOKEN_LEN) < 4 {
            let honoured = world.authenticate(&token, "a").await.is_ok();
            assert_eq!(honoured, token.len() <= MAX_TOKEN_LEN, "{}", token.len());
            seen.push(honoured);
        }
    }
    assert!(seen.contains(&true) && seen.contains(&false), "tokens on both sides of the limit: {seen:?}");
}

/// Requirements: rs.insufficient-scope
#[tokio::test]
async fn given_a_token_of_our_key_when_it_was_given_for_another_scope_then_a_larger_one_is_asked_for() {
    let world = TestServer::new(&["a", "b"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    let claims: AccessClaims =
        world.keys.signing.verify(ACCESS_TOKEN_TYPE, issued.text("access_token")).unwrap();
    for (scope, told) in [
        ("mcp", "honoured"),
        ("other mcp", "honoured"),
        ("", "insufficient_scope"),
        ("mcp2", "insufficient_scope"),
    ] {
        let claims = AccessClaims { scope: scope.to_owned(), ..claims.clone() };
        let token = world.keys.signing.sign(ACCESS_TOKEN_TYPE, &claims).unwrap();
        for _ in 0..2 {
            assert_eq!(invalid(world.authenticate(&token, "a").await), told, "{scope}");
        }
        assert_eq!(
            invalid(world.authenticate(&token, "b").await),
            WRONG_AUDIENCE,
            "first of all it has to be for the route"
        );
    }
    let challenge = crate::challenge(&world.route("a"), Some(&AuthenticateError::InsufficientScope));
    let challenge = challenge.to_str().unwrap();
    assert!(
        challenge.starts_with(r#"Bearer error="insufficient_scope","#)
            && challenge.ends_with(r#"scope="mcp""#),
        "{challenge}"
    );
}

/// Requirements: as.keys.rotation
#[tokio::test]
async fn given_a_remembered_token_when_its_key_is_taken_out_of_the_rings_then_it_is_refused_at_once() {
    let world = TestServer::new(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
    let others = Keyring::generate(&Random::system()).unwrap();
    world.keys.replace_with(&Keyring::from_json(&others).unwrap());
    assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), NOT_ISSUED_HERE);
}

/// Requirements: as.token.expiry
#[tokio::test]
async fn given_a_token_when_its_time_is_over_then_it_is_not_honoured_although_remembered() {
    let world = TestServer::new(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    world.advance(899);
    world.identity.feed_reader.read().await.unwrap();
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
    world.advance(1);
    assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), EXPIRED);
}

/// Requirements: as.revocation.everywhere
#[tokio::test]
async fn given_a_grant_revoked_at_another_replica_when_the_log_is_read_then_its_tokens_end_here() {
    let world = TestServer::new(&["a"]).await;
    let other = world.replica(&["a"]).await;
    let client = world.client().await;
    let issued = world.tokens(&client, "a").await;
    let token = issued.text("access_token");
    assert!(other.authenticate(token, "a").await.is_ok());
    world.advance(1);
    world.post("/mcp/a/oauth/revoke", &[("client_id", &client.id), ("token", token)]).await;
    assert_eq!(invalid(world.authenticate(token, "a").await), REVOKED);
    other.identity.feed_reader.read().await.unwrap();
    assert_eq!(invalid(other.authenticate(token, "a").await), REVOKED);
    // And at one that starts later.
    assert_eq!(invalid(world.replica(&["a"]).await.authenticate(token, "a").await), REVOKED);
}

/// Requirements: advisory.fail-open
#[tokio::test]
async fn given_no_fresh_feed_when_the_grace_is_over_then_nothing_is_honoured_until_it_is_back() {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], |contract| contract.gateway.store_outage_grace_seconds = 60);
    let issued = world.tokens(&*world.client().await, "a").await;
    world.advance(60);
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
    world.advance(1);
    assert!(!world.identity.access_tokens.is_ready());
    assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), "unavailable");
    world.identity.feed_reader.read().await.unwrap();
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
}

#[tokio::test]
async fn given_a_store_that_does_not_answer_when_a_remembered_token_is_shown_then_it_is_honoured() {
    let world = TestServer::new(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    world.authenticate(issued.text("access_token"), "a").await.unwrap();
    world.store.close().await;
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
    let cold = world.replica_without_feed();
    let table = world.table();
    assert_eq!(
        invalid(
            cold.access_tokens.authenticate(issued.text("access_token"), &world.route("a"), &table).await
        ),
        "unavailable"
    );
}

#[tokio::test]
async fn given_an_open_stream_when_its_person_changes_or_its_grant_ends_elsewhere_then_the_next_look_knows() {
    let world = TestServer::new(&["a"]).await;
    let other = world.replica(&["a"]).await;
    let client = world.client().await;
    let issued = world.tokens(&client, "a").await;
    let token = issued.text("access_token");
    let caller = other.authenticate(token, "a").await.unwrap();
    assert_eq!(*other.identity.access_tokens.current_principal(&caller).unwrap(), ana());

    let anew = Principal::new("company", "ana", None, None, ["readers"]);
    world.identity.principals.save(&anew).await.unwrap();
    other.identity.feed_reader.read().await.unwrap();
    assert_eq!(*other.identity.access_tokens.current_principal(&caller).unwrap(), anew);
    assert_eq!(*world.identity.access_tokens.current_principal(&caller).unwrap(), anew);

    world.post("/mcp/a/oauth/revoke", &[("client_id", &client.id), ("token", token)]).await;
    assert!(world.identity.access_tokens.current_principal(&caller).is_none());
    other.identity.feed_reader.read().await.unwrap();
    assert!(other.identity.access_tokens.current_principal(&caller).is_none());
}

#[tokio::test]
async fn given_an_open_stream_when_the_feed_is_silent_for_too_long_then_it_may_not_go_on() {
    let world = TestServer::new(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    let caller = world.authenticate(issued.text("access_token"), "a").await.unwrap();
    world.advance(901);
    assert!(world.identity.access_tokens.current_principal(&caller).is_none());
}

#[tokio::test]
async fn given_a_person_with_an_open_stream_when_the_token_expires_then_it_goes_on_until_the_grant_ends() {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], |contract| contract.gateway.tokens.refresh_seconds = 3_600);
    let issued = world.tokens(&*world.client().await, "a").await;
    let caller = world.authenticate(issued.text("access_token"), "a").await.unwrap();
    let goes_on = async || {
        world.identity.feed_reader.read().await.unwrap();
        world.identity.access_tokens.current_principal(&caller).is_some()
    };
    world.advance(3_599);
    assert!(goes_on().await, "the access token has expired long ago");
    world.advance(1);
    assert!(!goes_on().await);
}

#[tokio::test]
async fn given_a_token_of_an_older_version_then_its_stream_ends_with_it() {
    let world = TestServer::new(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    let claims: AccessClaims =
        world.keys.signing.verify(ACCESS_TOKEN_TYPE, issued.text("access_token")).unwrap();
    assert_eq!(claims.grant_exp, Some(claims.iat + 30 * 24 * 3600));
    let old = AccessClaims { grant_exp: None, ..claims };
    let token = world.keys.signing.sign(ACCESS_TOKEN_TYPE, &old).unwrap();
    let caller = world.authenticate(&token, "a").await.unwrap();
    world.advance(900);
    world.identity.feed_reader.read().await.unwrap();
    assert!(world.identity.access_tokens.current_principal(&caller).is_none());
}

#[tokio::test]
async fn given_a_clock_that_differs_from_the_databases_then_no_token_counts_and_the_replica_is_not_ready() {
    let world = TestServer::new(&["a"]).await;
    let issued = world.tokens(&*world.client().await, "a").await;
    assert!(world.identity.access_tokens.is_ready());
    world.identity.access_tokens.feed.set_clock_differs(true);
    assert!(!world.identity.access_tokens.is_ready());
    assert_eq!(invalid(world.authenticate(issued.text("access_token"), "a").await), "unavailable");
    world.identity.access_tokens.feed.set_clock_differs(false);
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
}
