//! Tests of the endpoints.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use portcullis_events::{EventKind, Outcome};
use serde_json::json;

use crate::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use crate::testing::{PUBLIC_URL, REDIRECT, TestServer};

mod authentication;
mod headless;
mod id_jag;
mod service_accounts;

const A: &str = "/mcp/a/oauth/token";

fn error(answer: &crate::testing::TestResponse) -> (u16, &str) {
    (answer.status, answer.text("error"))
}

/// Requirements: as.metadata.places
#[tokio::test]
async fn given_a_route_when_its_metadata_is_asked_for_at_any_variant_then_the_issuer_is_the_routes_url() {
    let world = TestServer::new(&["a", "b"]).await;
    for path in [
        "/.well-known/oauth-authorization-server/mcp/a",
        "/.well-known/openid-configuration/mcp/a",
        "/mcp/a/.well-known/openid-configuration",
        "/mcp/a/.well-known/oauth-authorization-server",
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.text("issuer"), "https://gateway.example/mcp/a");
        assert_eq!(answer.text("token_endpoint"), "https://gateway.example/mcp/a/oauth/token");
        assert_eq!(answer.text("jwks_uri"), "https://gateway.example/oauth/jwks");
        assert_eq!(answer.json["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(
            answer.json["token_endpoint_auth_methods_supported"],
            json!(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"])
        );
        assert_eq!(answer.json["client_id_metadata_document_supported"], true);
        assert_eq!(answer.json["authorization_response_iss_parameter_supported"], true);
        assert_eq!(answer.json.get("subject_types_supported").is_some(), path.contains("openid"), "{path}");
    }
    assert_eq!(world.get("/.well-known/oauth-authorization-server/mcp/c").await.status, 404);
}

#[tokio::test]
async fn given_the_bare_origin_when_metadata_is_asked_for_then_the_root_issuer_answers() {
    let world = TestServer::new(&["a", "b"]).await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let answer = world.get(path).await;
        assert_eq!(answer.text("issuer"), PUBLIC_URL);
        assert_eq!(answer.text("authorization_endpoint"), "https://gateway.example/oauth/authorize");
        assert_eq!(answer.text("registration_endpoint"), "https://gateway.example/oauth/register");
        assert_eq!(answer.text("revocation_endpoint"), "https://gateway.example/oauth/revoke");
    }
    assert!(world.get("/oauth/jwks").await.json["keys"][0]["x"].is_string());
}

/// Requirements: rs.metadata
#[tokio::test]
async fn given_one_route_or_several_when_resource_metadata_is_asked_for_then_the_bare_path_is_for_one() {
    let world = TestServer::new(&["a"]).await;
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp/a"] {
        let answer = world.get(path).await;
        assert_eq!(
            answer.json,
            json!({
                "resource": "https://gateway.example/mcp/a", "resource_name": "Route a",
                "authorization_servers": ["https://gateway.example/mcp/a"],
                "bearer_methods_supported": ["header"], "scopes_supported": ["mcp"],
            })
        );
    }
    world.swap(&["a", "b"], |_| {});
    let answer = world.get("/.well-known/oauth-protected-resource").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text("error_description").contains("/mcp/{slug}"));
    assert_eq!(world.get("/.well-known/oauth-protected-resource/mcp/b").await.status, 200);
}

#[tokio::test]
async fn given_a_script_of_another_site_when_it_asks_first_then_every_endpoint_lets_it() {
    let world = TestServer::new(&["a"]).await;
    for path in
        [A, "/register", "/mcp/a/oauth/revoke", "/.well-known/oauth-protected-resource/mcp/a", "/oauth/jwks"]
    {
        let request = Request::options(path)
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "mcp-protocol-version, authorization");
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        assert_eq!(answer.headers["access-control-allow-headers"], "mcp-protocol-version, authorization");
    }
}

/// Requirements: as.registration.open
#[tokio::test]
async fn given_a_registration_when_it_is_sound_then_the_client_is_known_and_its_secret_is_not() {
    let world = TestServer::new(&["a"]).await;
    let document = json!({"redirect_uris": [REDIRECT], "client_name": "Test"});
    for path in ["/mcp/a/oauth/register", "/oauth/register", "/register"] {
        let answer = world.register(path, &document).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.text("client_id").starts_with("pc_client_"));
        assert!(answer.text("client_secret").starts_with("pc_secret_"));
        assert_eq!(answer.json["client_secret_expires_at"], 0);
        let row = world.store.client(answer.text("client_id"), 0).await.unwrap().unwrap();
        assert!(!format!("{row:?}").contains(answer.text("client_secret")));
        assert!(
            world.identity.clients.client(answer.text("client_id")).await.unwrap().allows_redirect(REDIRECT)
        );
    }
    assert_eq!(world.events(EventKind::ClientRegistered).len(), 3);
}

/// Requirements: as.registration.refused
#[tokio::test]
async fn given_a_registration_when_it_cannot_be_then_the_error_says_why() {
    let world = TestServer::new(&["a"]).await;
    let bad = json!({"redirect_uris": ["http://evil.example/cb"]});
    assert_eq!(error(&world.register("/register", &bad).await), (400, "invalid_redirect_uri"));
    assert_eq!(error(&world.register("/register", &json!([1])).await), (400, "invalid_client_metadata"));
    let good = json!({"redirect_uris": [REDIRECT]});
    assert_eq!(error(&world.register("/mcp/x/oauth/register", &good).await).0, 404);
    world.swap(&["a"], |contract| contract.gateway.clients.dynamic_registration = false);
    assert_eq!(error(&world.register("/register", &good).await), (403, "access_denied"));
    assert!(
        world
            .get("/.well-known/oauth-authorization-server/mcp/a")
            .await
            .json
            .get("registration_endpoint")
            .is_none()
    );
    assert!(
        world.events(EventKind::ClientRegistered).iter().all(|event| event.outcome == Outcome::ClientError)
    );
}

/// Requirements: as.registration.bounded
#[tokio::test]
async fn given_a_flood_of_registrations_when_the_bucket_is_empty_then_they_are_asked_to_wait() {
    let world = TestServer::new(&["a"]).await;
    let document = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
    for _ in 0..60 {
        assert_eq!(world.register("/register", &document).await.status, 201);
    }
    let answer = world.register("/register", &document).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "10"));
    world.advance(2);
    assert_eq!(world.register("/register", &document).await.status, 201);
}

/// Requirements: as.registration.bounded
#[tokio::test]
async fn given_a_registration_of_more_than_4_kib_then_the_answer_says_so() {
    let world = TestServer::new(&["a"]).await;
    let uris: Vec<_> = (0..30).map(|at| format!("https://client.example/{at:0>200}")).collect();
    let answer = world.register("/register", &json!({"redirect_uris": uris})).await;
    assert_eq!(error(&answer), (400, "invalid_client_metadata"));
    assert!(answer.text("error_description").contains("4 KiB"), "{answer:?}");
}

/// Requirements: as.token.limited
#[tokio::test]
async fn given_a_flood_of_requests_that_fail_when_the_bucket_is_empty_then_more_are_asked_to_wait() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let id = client.id.as_str();
    let issued = world.tokens(&client, "a").await;
    let revoke = async |token: &'static str| {
        world.post("/mcp/a/oauth/revoke", &[("client_id", "pc_client_x"), ("token", token)]).await
    };
    for _ in 0..59 {
        assert_eq!(error(&world.refresh("a", &client, "pc_refresh_x").await), (400, "invalid_grant"));
        assert_eq!(revoke("x").await.status, 401);
    }
    // A revocation of nothing succeeds, and counts nevertheless.
    for _ in 0..2 {
        assert_eq!(world.post("/oauth/revoke", &[("client_id", id), ("token", "x")]).await.status, 200);
    }
    for limited in [
        world.refresh("a", &client, "pc_refresh_x").await,
        revoke("x").await,
        world.refresh("a", &client, issued.text("refresh_token")).await,
    ] {
        assert_eq!(error(&limited), (429, "temporarily_unavailable"));
        assert_eq!(limited.headers["retry-after"], "10");
    }
    assert_eq!(world.events(EventKind::Token).pop().unwrap().reason, Some("too_many_failures"));
    world.advance(1);
    assert_eq!(
        world.refresh("a", &client, issued.text("refresh_token")).await.status,
        200,
        "it was not used up"
    );
}

/// Requirements: as.token.limited
#[tokio::test]
async fn given_requests_that_succeed_then_they_do_not_count_as_failures_and_are_limited_per_grant() {
    let world = TestServer::new(&["a"]).await;
    let (client, other) = (world.client().await, world.client().await);
    let mut token = world.tokens(&client, "a").await.text("refresh_token").to_owned();
    for _ in 0..60 {
        let answer = world.refresh("a", &client, &token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        token = answer.text("refresh_token").to_owned();
    }
    assert_eq!(error(&world.refresh("a", &client, &token).await), (429, "temporarily_unavailable"));
    assert_eq!(world.events(EventKind::Token).pop().unwrap().reason, Some("too_many_tokens"));
    for _ in 0..90 {
        world.tokens(&other, "a").await;
    }
    world.advance(1);
    assert_eq!(world.refresh("a", &client, &token).await.status, 200);
}

/// Requirements: as.registration.persists
#[tokio::test]
async fn given_a_client_that_nobody_used_for_90_days_then_it_is_unknown_and_a_used_one_is_not() {
    let world = TestServer::new(&["a"]).await;
    let (idle, busy) = (world.client().await, world.client().await);
    world.tokens(&idle, "a").await;
    world.tokens(&busy, "a").await;
    world.advance(60 * 24 * 3600);
    world.tokens(&busy, "a").await;
    world.advance(31 * 24 * 3600);
    assert!(world.identity.clients.client(&idle.id).await.is_err());
    assert!(world.identity.clients.client(&busy.id).await.is_ok());
    assert_eq!(error(&world.refresh("a", &idle, "pc_refresh_x").await), (401, "invalid_client"));
    world.prune().await;
    assert!(world.identity.clients.client(&busy.id).await.is_ok());
}

/// Requirements: as.token.answer
#[tokio::test]
async fn given_a_code_when_redeemed_then_the_tokens_are_as_the_specifications_say() {
    let world = TestServer::new(&["a", "b"]).await;
    let client = world.client().await;
    let answer = world.tokens(&client, "a").await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!((answer.text("token_type"), answer.text("scope")), ("Bearer", "mcp"));
    assert_eq!(answer.json["expires_in"], 900);
    let claims: AccessClaims =
        world.keys.signing.verify(ACCESS_TOKEN_TYPE, answer.text("access_token")).unwrap();
    assert_eq!(
        (claims.iss.as_str(), claims.aud.as_str()),
        ("https://gateway.example/mcp/a", "https://gateway.example/mcp/a")
    );
    assert_eq!((claims.route.as_str(), claims.client_id.as_str()), ("uid-a", client.id.as_str()));
    assert_eq!(claims.exp - claims.iat, 900);
    let event = world.events(EventKind::Token).pop().unwrap();
    assert_eq!((event.subject.as_deref(), event.route.as_deref()), (Some("company:ana"), Some("a")));
}

/// Requirements: as.code.once
#[tokio::test]
async fn given_a_code_when_it_comes_twice_then_what_it_gave_ends() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let code = world.code(&client, "a", false).await;
    let first = world.exchange(A, &client, &code, &[]).await;
    assert!(world.authenticate(first.text("access_token"), "a").await.is_ok());
    assert_eq!(error(&world.exchange(A, &client, &code, &[]).await), (400, "invalid_grant"));
    assert!(world.authenticate(first.text("access_token"), "a").await.is_err());
    assert_eq!(
        error(&world.refresh("a", &client, first.text("refresh_token")).await),
        (400, "invalid_grant")
    );
    let revoked = world.events(EventKind::Revoked);
    assert_eq!((revoked.len(), revoked[0].reason), (1, Some("code_reused")));
}

/// Requirements: as.code.bound
#[tokio::test]
async fn given_a_code_when_anything_it_is_bound_to_differs_then_it_gives_nothing_and_is_used_up() {
    let world = TestServer::new(&["a", "b"]).await;
    let (client, other) = (world.client().await, world.client().await);
    let short = "x".repeat(42);
    for (path, change) in [
        (A, ("code_verifier", "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong")),
        (A, ("code_verifier", short.as_str())),
        (A, ("redirect_uri", "http://127.0.0.1:9/other")),
        (A, ("client_id", other.id.as_str())),
        ("/mcp/b/oauth/token", ("grant_type", "authorization_code")),
        ("/oauth/token", ("grant_type", "authorization_code")),
    ] {
        let code = world.code(&client, "a", false).await;
        assert_eq!(
            error(&world.exchange(path, &client, &code, &[change]).await),
            (400, "invalid_grant"),
            "{change:?}"
        );
        assert_eq!(error(&world.exchange(A, &client, &code, &[]).await), (400, "invalid_grant"));
    }
}

/// RFC 7636, section 4.1.
#[tokio::test]
async fn given_a_verifier_that_is_too_short_or_too_long_when_it_belongs_to_its_challenge_then_it_is_refused()
{
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    for (length, status) in [(42, 400), (43, 200), (128, 200), (129, 400)] {
        let verifier = "v".repeat(length);
        let code = world.code_for(&client, "a", false, &verifier).await;
        let answer = world.exchange(A, &client, &code, &[("code_verifier", &verifier)]).await;
        assert_eq!(answer.status, status, "{length}: {answer:?}");
    }
}

#[tokio::test]
async fn given_a_code_when_nobody_says_whose_it_is_then_the_request_is_invalid_and_the_code_still_good() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let code = world.code(&client, "a", false).await;
    let unnamed = world.exchange(A, &client, &code, &[("client_id", "")]).await;
    assert_eq!(error(&unnamed), (400, "invalid_request"));
    assert_eq!(unnamed.text("error_description"), "client_id is missing");
    assert_eq!(world.exchange(A, &client, &code, &[]).await.status, 200);
}

/// Requirements: as.code.minute
#[tokio::test]
async fn given_a_code_when_its_minute_is_over_then_it_gives_nothing() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let (within, after) = (world.code(&client, "a", false).await, world.code(&client, "a", false).await);
    world.advance(59);
    assert_eq!(world.exchange(A, &client, &within, &[]).await.status, 200);
    world.advance(1);
    assert_eq!(error(&world.exchange(A, &client, &after, &[]).await), (400, "invalid_grant"));
}

/// Requirements: as.resource.mismatch
#[tokio::test]
async fn given_a_resource_when_it_is_not_what_was_granted_then_the_target_is_invalid_and_the_code_still_good()
{
    let world = TestServer::new(&["a", "b"]).await;
    let client = world.client().await;
    let code = world.code(&client, "a", false).await;
    for resource in [
        "https://gateway.example/mcp/b",
        "https://gateway.example/mcp/a/",
        "https://gateway.example",
        "https://gatewaz.example/mcp/a",
    ] {
        let refused = world.exchange(A, &client, &code, &[("resource", resource)]).await;
        assert_eq!(error(&refused), (400, "invalid_target"), "{resource}");
    }
    let granted = world.exchange(A, &client, &code, &[("resource", "HTTPS://Gateway.example/mcp/a")]).await;
    assert_eq!(granted.status, 200, "{granted:?}");
}

#[tokio::test]
async fn given_the_root_issuer_when_a_code_is_redeemed_there_then_the_token_is_good_for_its_route_alone() {
    let world = TestServer::new(&["a", "b"]).await;
    let client = world.client().await;
    let code = world.code(&client, "a", true).await;
    let answer = world.exchange("/oauth/token", &client, &code, &[]).await;
    let claims: AccessClaims =
        world.keys.signing.verify(ACCESS_TOKEN_TYPE, answer.text("access_token")).unwrap();
    assert_eq!((claims.iss.as_str(), claims.aud.as_str()), (PUBLIC_URL, "https://gateway.example/mcp/a"));
    assert!(world.authenticate(answer.text("access_token"), "a").await.is_ok());
    assert!(world.authenticate(answer.text("access_token"), "b").await.is_err());
    assert_eq!(
        error(&world.refresh("a", &client, answer.text("refresh_token")).await),
        (400, "invalid_grant")
    );
}

/// Requirements: as.refresh.grace
#[tokio::test]
async fn given_a_used_refresh_token_when_it_comes_again_within_the_grace_window_then_both_go_on() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let first = world.tokens(&client, "a").await;
    let one = world.refresh("a", &client, first.text("refresh_token")).await;
    world.advance(45);
    let other = world.refresh("a", &client, first.text("refresh_token")).await;
    assert_ne!(one.text("refresh_token"), other.text("refresh_token"));
    for branch in [one, other] {
        assert!(world.authenticate(branch.text("access_token"), "a").await.is_ok());
        assert_eq!(world.refresh("a", &client, branch.text("refresh_token")).await.status, 200);
    }
    assert!(world.events(EventKind::Revoked).is_empty());
}

/// Requirements: as.refresh.grace
#[tokio::test]
async fn given_a_repeated_refresh_token_when_a_sibling_is_used_then_the_unused_ones_end_with_the_grace() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let first = world.tokens(&client, "a").await;
    let used = world.refresh("a", &client, first.text("refresh_token")).await;
    assert_eq!(world.events(EventKind::Token).pop().unwrap().reason, None);
    let unused = world.refresh("a", &client, first.text("refresh_token")).await;
    let event = world.events(EventKind::Token).pop().unwrap();
    assert_eq!((event.outcome, event.reason), (Outcome::Success, Some("refresh_token_repeated")));
    world.advance(60);
    let next = world.refresh("a", &client, used.text("refresh_token")).await;
    world.advance(46);
    world.events(EventKind::Token);
    assert_eq!(
        error(&world.refresh("a", &client, unused.text("refresh_token")).await),
        (400, "invalid_grant")
    );
    assert_eq!(world.events(EventKind::Token)[0].reason, Some("refresh_token_superseded"));
    let last = world.refresh("a", &client, next.text("refresh_token")).await;
    assert_eq!(last.status, 200, "the client that went on is not disturbed: {last:?}");
    // Also after the used ones were deleted, which show that the unused one had ended.
    world.prune().await;
    world.advance(8 * 24 * 3600);
    world.identity.feed_reader.read().await.unwrap();
    world.prune().await;
    assert_eq!(
        error(&world.refresh("a", &client, unused.text("refresh_token")).await),
        (400, "invalid_grant")
    );
    assert_eq!(world.refresh("a", &client, last.text("refresh_token")).await.status, 200);
}

/// Requirements: as.refresh.grace
#[tokio::test]
async fn given_a_refresh_token_that_is_repeated_too_often_then_it_gets_no_more_and_the_grant_stays() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let first = world.tokens(&client, "a").await;
    let mut last = None;
    for _ in 0..portcullis_store::MAX_UNUSED_REFRESH_TOKENS {
        let answer = world.refresh("a", &client, first.text("refresh_token")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        last = Some(answer);
    }
    let refused = world.refresh("a", &client, first.text("refresh_token")).await;
    assert_eq!(error(&refused), (400, "invalid_grant"));
    assert!(world.events(EventKind::Revoked).is_empty());
    assert_eq!(world.refresh("a", &client, last.unwrap().text("refresh_token")).await.status, 200);
    // A successor is in use now, so it is a theft.
    assert_eq!(
        error(&world.refresh("a", &client, first.text("refresh_token")).await),
        (400, "invalid_grant")
    );
    assert_eq!(world.events(EventKind::Revoked)[0].reason, Some("refresh_token_reused"));
}

/// Requirements: as.refresh.reuse
#[tokio::test]
async fn given_a_used_refresh_token_when_it_comes_after_the_grace_window_or_its_successors_use_then_the_family_ends()
 {
    for (wait, successor_used) in [(46, false), (1, true)] {
        let world = TestServer::new(&["a"]).await;
        let client = world.client().await;
        let first = world.tokens(&client, "a").await;
        let mut last = world.refresh("a", &client, first.text("refresh_token")).await;
        if successor_used {
            last = world.refresh("a", &client, last.text("refresh_token")).await;
        }
        world.advance(wait);
        assert!(world.authenticate(last.text("access_token"), "a").await.is_ok());
        assert_eq!(
            error(&world.refresh("a", &client, first.text("refresh_token")).await),
            (400, "invalid_grant")
        );
        assert_eq!(
            error(&world.refresh("a", &client, last.text("refresh_token")).await),
            (400, "invalid_grant")
        );
        assert!(world.authenticate(last.text("access_token"), "a").await.is_err());
        assert_eq!(world.events(EventKind::Revoked)[0].reason, Some("refresh_token_reused"));
    }
}

/// Requirements: as.refresh.ends
#[tokio::test]
async fn given_a_family_when_its_absolute_lifetime_is_over_then_no_refresh_prolongs_it() {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], |contract| contract.gateway.tokens.refresh_seconds = 1_000);
    let client = world.client().await;
    let first = world.tokens(&client, "a").await;
    world.advance(900);
    let second = world.refresh("a", &client, first.text("refresh_token")).await;
    assert_eq!(second.json["expires_in"], 100);
    world.advance(100);
    assert_eq!(
        error(&world.refresh("a", &client, second.text("refresh_token")).await),
        (400, "invalid_grant")
    );
}

/// Requirements: as.refresh.bound
#[tokio::test]
async fn given_a_route_that_is_gone_or_another_of_the_same_name_when_refreshed_then_the_grant_is_over() {
    let world = TestServer::new(&["a", "b"]).await;
    let client = world.client().await;
    let issued = world.tokens(&client, "a").await;
    world.swap(&["b"], |_| {});
    assert_eq!(
        error(&world.refresh("a", &client, issued.text("refresh_token")).await),
        (400, "invalid_grant")
    );
    world.swap(&["a", "b"], |contract| contract.routes[0].uid = "uid-another".to_owned());
    assert_eq!(
        error(&world.refresh("a", &client, issued.text("refresh_token")).await),
        (400, "invalid_grant")
    );
    world.swap(&["a", "b"], |_| {});
    assert_eq!(world.refresh("a", &client, issued.text("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn given_a_route_that_has_moved_to_another_place_when_refreshed_then_the_grant_is_over() {
    let world = TestServer::new(&["a", "b"]).await;
    let client = world.client().await;
    let code = world.code(&client, "a", true).await;
    let issued = world.exchange("/oauth/token", &client, &code, &[]).await;
    let refresh_token = issued.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("client_id", &client.id), ("refresh_token", refresh_token)];
    world.swap(&["a", "b"], |contract| contract.routes[0].slug = "elsewhere".to_owned());
    assert_eq!(error(&world.post("/oauth/token", &form).await), (400, "invalid_grant"));
    world.swap(&["a", "b"], |_| {});
    assert_eq!(world.post("/oauth/token", &form).await.status, 200);
}

/// Requirements: as.refresh.bound
#[tokio::test]
async fn given_a_refresh_token_when_another_client_or_issuer_uses_it_then_it_is_refused_and_the_family_lives()
{
    let world = TestServer::new(&["a", "b"]).await;
    let (client, other) = (world.client().await, world.client().await);
    let issued = world.tokens(&client, "a").await;
    let token = issued.text("refresh_token");
    assert_eq!(error(&world.refresh("a", &other, token).await), (400, "invalid_grant"));
    assert_eq!(error(&world.refresh("b", &client, token).await), (400, "invalid_grant"));
    assert_eq!(world.refresh("a", &client, token).await.status, 200);
}

/// Requirements: as.client.secret
#[tokio::test]
async fn given_a_client_with_a_secret_when_it_authenticates_then_only_the_header_with_the_right_secret_counts()
 {
    let world = TestServer::new(&["a"]).await;
    let registered = world.register("/register", &json!({"redirect_uris": [REDIRECT]})).await;
    let (id, secret) = (registered.text("client_id"), registered.text("client_secret"));
    let basic = |id: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let form = [("grant_type", "refresh_token"), ("refresh_token", "pc_refresh_x")];

    let right = world.post_as(A, &form, Some(&basic(id, secret))).await;
    assert_eq!(error(&right), (400, "invalid_grant"), "authenticated, so the token is looked at");
    let wrong = world.post_as(A, &form, Some(&basic(id, "pc_secret_x"))).await;
    assert_eq!(error(&wrong), (401, "invalid_client"));
    assert!(wrong.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    let unknown = world.post_as(A, &form, Some(&basic("pc_client_x", secret))).await;
    assert_eq!(error(&unknown), (401, "invalid_client"));

    let in_form = [form.as_slice(), &[("client_id", id), ("client_secret", secret)]].concat();
    let posted = world.post(A, &in_form).await;
    assert_eq!(error(&posted), (401, "invalid_client"));
    assert!(!posted.headers.contains_key("www-authenticate"));
    let twice = [form.as_slice(), &[("client_id", "pc_client_other")]].concat();
    assert_eq!(error(&world.post_as(A, &twice, Some(&basic(id, secret))).await), (400, "invalid_request"));
}

/// Requirements: as.token.errors
#[tokio::test]
async fn given_a_request_that_is_no_token_request_then_the_error_is_the_one_of_the_rfc() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let id = ("client_id", client.id.as_str());
    assert_eq!(error(&world.post(A, &[id]).await), (400, "invalid_request"));
    assert_eq!(error(&world.post(A, &[("grant_type", "refresh_token")]).await), (400, "invalid_request"));
    assert_eq!(
        error(&world.post(A, &[id, ("grant_type", "password")]).await),
        (400, "unsupported_grant_type")
    );
    assert_eq!(error(&world.post(A, &[id, ("grant_type", "refresh_token")]).await), (400, "invalid_request"));
    assert_eq!(
        error(&world.post(A, &[id, id, ("grant_type", "refresh_token")]).await),
        (400, "invalid_request")
    );
    let json = Request::post(A).header("content-type", "application/json").body(Body::from("{}")).unwrap();
    let answer = world.send(json).await;
    assert_eq!(error(&answer), (400, "invalid_request"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(error(&world.refresh("a", &client, "made up").await), (400, "invalid_grant"));
}

/// Requirements: as.client.outage, advisory.fail-open
#[tokio::test]
async fn given_a_store_that_does_not_answer_when_a_token_is_asked_for_then_it_is_the_gateways_fault() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    world.store.close().await;
    let answer = world.refresh("a", &client, "pc_refresh_x").await;
    assert_eq!(error(&answer), (503, "server_error"));
    assert!(answer.headers.contains_key("retry-after"));
    let registered = world.register("/register", &json!({"redirect_uris": [REDIRECT]})).await;
    assert_eq!(error(&registered), (503, "server_error"));
}

/// Requirements: as.revocation
#[tokio::test]
async fn given_either_token_when_its_client_revokes_it_then_the_grant_ends_at_once() {
    for kind in ["access_token", "refresh_token"] {
        let world = TestServer::new(&["a"]).await;
        let (client, other) = (world.client().await, world.client().await);
        let issued = world.tokens(&client, "a").await;
        let revoke = |client_id: &str| {
            let form = [
                ("client_id".to_owned(), client_id.to_owned()),
                ("token".to_owned(), issued.text(kind).to_owned()),
            ];
            let world = &world;
            async move {
                let form: Vec<(&str, &str)> =
                    form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                world.post("/mcp/a/oauth/revoke", &form).await
            }
        };
        assert_eq!(revoke(&other.id).await.status, 400);
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
        assert_eq!(revoke(&client.id).await.status, 200);
        assert!(world.authenticate(issued.text("access_token"), "a").await.is_err());
        assert_eq!(
            error(&world.refresh("a", &client, issued.text("refresh_token")).await),
            (400, "invalid_grant")
        );
        assert_eq!(revoke(&client.id).await.status, 200);
        assert_eq!(world.events(EventKind::Revoked).len(), 1);
    }
}

#[tokio::test]
async fn given_a_token_of_another_issuer_when_revoked_then_it_lives() {
    let world = TestServer::new(&["a", "b"]).await;
    let client = world.client().await;
    let issued = world.tokens(&client, "a").await;
    for kind in ["access_token", "refresh_token"] {
        for path in ["/mcp/b/oauth/revoke", "/oauth/revoke"] {
            let form = [("client_id", client.id.as_str()), ("token", issued.text(kind))];
            assert_eq!(world.post(path, &form).await.status, 200, "as good as not known (RFC 7009, 2.2)");
        }
    }
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok());
    assert_eq!(world.refresh("a", &client, issued.text("refresh_token")).await.status, 200);
}

/// Requirements: as.revocation
#[tokio::test]
async fn given_a_token_of_the_root_issuer_when_revoked_there_then_it_ends() {
    let world = TestServer::new(&["a", "b"]).await;
    let client = world.client().await;
    let code = world.code(&client, "a", true).await;
    let issued = world.exchange("/oauth/token", &client, &code, &[]).await;
    let form = [("client_id", client.id.as_str()), ("token", issued.text("refresh_token"))];
    assert_eq!(world.post("/mcp/a/oauth/revoke", &form).await.status, 200);
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_ok(), "it is not that issuer's");
    assert_eq!(world.post("/oauth/revoke", &form).await.status, 200);
    assert!(world.authenticate(issued.text("access_token"), "a").await.is_err());
}

/// Requirements: as.revocation
#[tokio::test]
async fn given_a_token_that_is_not_known_when_revoked_then_the_answer_is_200() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    for token in ["no such token", "pc_refresh_x", "a.b.c"] {
        let answer = world.post("/mcp/a/oauth/revoke", &[("client_id", &client.id), ("token", token)]).await;
        assert_eq!(answer.status, 200, "{token}");
    }
    assert_eq!(world.post("/mcp/a/oauth/revoke", &[("client_id", &client.id)]).await.status, 400);
    assert_eq!(world.post("/mcp/a/oauth/revoke", &[("client_id", "x"), ("token", "y")]).await.status, 401);
}

/// Requirements: as.code.once
#[tokio::test(flavor = "multi_thread")]
async fn given_a_code_or_refresh_token_when_many_use_it_at_once_then_one_wins_and_nobody_hears_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let store = portcullis_store::Store::open_sqlite(&folder.path().join("store.db")).await.unwrap();
    let world = std::sync::Arc::new(TestServer::with_store(&["a"], store).await);
    let client = world.client().await;
    let code = world.code(&client, "a", false).await;
    let attempt = |code: String| {
        let (world, client) = (std::sync::Arc::clone(&world), std::sync::Arc::clone(&client));
        tokio::spawn(async move { world.exchange(A, &client, &code, &[]).await })
    };
    let mut attempts = Vec::new();
    for _ in 0..12 {
        attempts.push(attempt(code.clone()));
    }
    let mut statuses = Vec::new();
    for each in attempts {
        statuses.push(each.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![400; 11]].concat());

    let issued = world.tokens(&client, "a").await;
    let refresh = |token: String| {
        let (world, client) = (std::sync::Arc::clone(&world), std::sync::Arc::clone(&client));
        tokio::spawn(async move { world.refresh("a", &client, &token).await })
    };
    let mut refreshes = Vec::new();
    for _ in 0..12 {
        refreshes.push(refresh(issued.text("refresh_token").to_owned()));
    }
    let mut successors = std::collections::HashSet::new();
    for each in refreshes {
        let answer = each.await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        successors.insert(answer.text("refresh_token").to_owned());
    }
    assert_eq!(successors.len(), 12, "each process of the client has one of its own");
}

#[tokio::test]
async fn given_the_store_when_read_byte_by_byte_then_no_code_token_or_secret_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let world =
        TestServer::with_store(&["a"], portcullis_store::Store::open_sqlite(&path).await.unwrap()).await;
    let registered = world.register("/register", &json!({"redirect_uris": [REDIRECT]})).await;
    let client = world.client().await;
    let code = world.code(&client, "a", false).await;
    let issued = world.exchange(A, &client, &code, &[]).await;
    let secrets =
        [&code, issued.text("access_token"), issued.text("refresh_token"), registered.text("client_secret")];
    world.store.close().await;
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    assert!(bytes.windows(client.id.len()).any(|window| window == client.id.as_bytes()));
    for secret in secrets {
        assert!(!secret.is_empty() && !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}
