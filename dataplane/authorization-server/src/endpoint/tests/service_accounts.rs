//! Tokens of Kubernetes service accounts as assertions (RFC 7523, section 2.1).

use portcullis_config::Config;
use portcullis_events::EventKind;
use portcullis_policy::PrincipalKind;
use serde_json::{Value, json};

use super::headless::team;
use super::{A, error};
use crate::testing::{Signer, TestResponse, TestServer, cluster_key};

const GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
const ISSUER: &str = "https://gateway.example/mcp/a";

fn reporters(contract: &mut Config) {
    contract.teams = vec![team(json!({"serviceAccounts": ["mcp/reporter"]}))];
}

fn claims() -> Value {
    json!({"sub": "system:serviceaccount:mcp:reporter", "aud": [ISSUER], "exp": 1_790_003_600})
}

async fn show(world: &TestServer, path: &str, token: &str) -> TestResponse {
    world.post(path, &[GRANT, ("assertion", token)]).await
}

#[tokio::test]
async fn given_a_service_account_of_a_team_when_it_shows_its_token_then_it_may_use_the_route() {
    let world = TestServer::in_cluster(&["a", "b"]).await;
    world.swap(&["a", "b"], reporters);
    let token = cluster_key().sign(None, &claims());
    for _ in 0..2 {
        // A pod uses the same token until it is rotated, so repeated use is accepted.
        let answer = show(&world, A, &token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json.get("refresh_token"), None);
        let caller = world.authenticate(answer.text("access_token"), "a").await.unwrap();
        assert_eq!(caller.principal.kind(), PrincipalKind::ServiceAccount);
        assert_eq!(&*caller.principal.subject, "system:serviceaccount:mcp:reporter");
        assert_eq!(&*caller.client_name, "mcp/reporter");
        assert!(world.authenticate(answer.text("access_token"), "b").await.is_err());
    }
    let metadata = world.get("/.well-known/oauth-authorization-server/mcp/a").await.json;
    assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT.1)));
    let metadata = world.get("/.well-known/oauth-authorization-server/mcp/b").await.json;
    assert!(
        !metadata["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT.1)),
        "no team there"
    );
}

/// Requirements: as.headless.service-account
#[tokio::test]
async fn given_a_token_that_is_not_the_clusters_for_this_route_then_it_gives_nothing() {
    let world = TestServer::in_cluster(&["a", "b"]).await;
    world.swap(&["a", "b"], reporters);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        cluster_key().sign(None, &claims)
    };
    for (token, expected, reason) in [
        (Signer::new("cluster", 1).sign(None, &claims()), (400, "invalid_grant"), "service_account_token"),
        // Tokens that are clearly not for this gateway are not sent to the cluster.
        (
            with("aud", json!(["https://kubernetes.default.svc"])),
            (400, "invalid_grant"),
            "assertion_mismatch",
        ),
        (with("aud", json!(["https://gateway.example/mcp/b"])), (400, "invalid_grant"), "assertion_mismatch"),
        (with("sub", json!("kubernetes-admin")), (400, "invalid_grant"), "assertion_mismatch"),
        (with("sub", json!("system:serviceaccount:mcp:another")), (400, "access_denied"), "no_access"),
        (with("away", json!(true)), (503, "server_error"), "review_unavailable"),
        ("no token".to_owned(), (400, "invalid_grant"), "assertion_malformed"),
    ] {
        world.events(EventKind::Token);
        assert_eq!(error(&show(&world, A, &token).await), expected, "{token}");
        assert_eq!(world.events(EventKind::Token)[0].reason, Some(reason), "{token}");
    }
    let there = with("aud", json!(["https://gateway.example/mcp/b"]));
    assert_eq!(
        error(&show(&world, "/mcp/b/oauth/token", &there).await),
        (400, "access_denied"),
        "no team there"
    );
    assert_eq!(error(&world.post(A, &[GRANT]).await), (400, "invalid_request"));
}

#[tokio::test]
async fn given_a_gateway_outside_a_cluster_then_service_account_tokens_are_refused_with_the_reason() {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], reporters);
    let answer = show(&world, A, &cluster_key().sign(None, &claims())).await;
    assert_eq!(error(&answer), (400, "unsupported_grant_type"));
    assert!(answer.text("error_description").contains("serve --kubernetes"));
    let metadata = world.get("/.well-known/oauth-authorization-server/mcp/a").await.json;
    assert!(!metadata["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT.1)));
}

/// Requirements: as.headless.service-account
#[tokio::test]
async fn given_a_flood_of_tokens_then_the_cluster_is_not_flooded() {
    let world = TestServer::in_cluster(&["a"]).await;
    world.swap(&["a"], reporters);
    let forged = Signer::new("cluster", 1).sign(None, &claims());
    for _ in 0..50 {
        assert_eq!(error(&show(&world, A, &forged).await), (400, "invalid_grant"));
    }
    let answer = show(&world, A, &forged).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "1"));
    assert_eq!(world.events(EventKind::Token).pop().unwrap().reason, Some("too_many_reviews"));
    world.advance(1);
    assert_eq!(error(&show(&world, A, &forged).await), (400, "invalid_grant"));
}
