//! Client authentication: RFC 6749 section 2.3, RFC 7523 section 3, OpenID Connect Core section 9.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_events::EventKind;
use serde_json::{Value, json};

use super::{A, error};
use crate::testing::{REDIRECT, Signer, TestResponse, TestServer};

const TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
const ISSUER: &str = "https://gateway.example/mcp/a";

/// A refresh request with an unknown token. Its error shows whether client authentication succeeded.
const FORM: [(&str, &str); 2] = [("grant_type", "refresh_token"), ("refresh_token", "pc_refresh_x")];
const AUTHENTICATED: (u16, &str) = (400, "invalid_grant");
const REFUSED: (u16, &str) = (401, "invalid_client");

fn signer() -> Signer {
    Signer::new("one", 1)
}

async fn registered(world: &TestServer, method: &str) -> TestResponse {
    let mut document = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": method});
    if method == "private_key_jwt" {
        document["jwks"] = signer().jwks();
    }
    let answer = world.register("/register", &document).await;
    assert_eq!((answer.status, answer.text("token_endpoint_auth_method")), (201, method), "{answer:?}");
    answer
}

fn claims(world: &TestServer, client_id: &str, jti: &str) -> Value {
    let now = world.clock.now().seconds();
    json!({"iss": client_id, "sub": client_id, "aud": ISSUER, "exp": now + 300, "iat": now, "jti": jti})
}

async fn show(world: &TestServer, assertion: &str) -> TestResponse {
    world.post(A, &[FORM.as_slice(), &[TYPE, ("client_assertion", assertion)]].concat()).await
}

/// Requirements: as.client.secret
#[tokio::test]
async fn given_a_client_registered_with_one_method_when_it_uses_another_then_it_is_refused() {
    let world = TestServer::new(&["a"]).await;
    for method in ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"] {
        let client = registered(&world, method).await;
        let (id, secret) = (client.text("client_id"), client.text("client_secret"));
        let secret = if secret.is_empty() { "pc_secret_guess" } else { secret };
        let assertion = signer().sign(None, &claims(&world, id, method));
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let id = ("client_id", id);
        for (used, answer) in [
            ("none", world.post(A, &[FORM.as_slice(), &[id]].concat()).await),
            ("client_secret_basic", world.post_as(A, &FORM, Some(&basic)).await),
            (
                "client_secret_post",
                world.post(A, &[FORM.as_slice(), &[id, ("client_secret", secret)]].concat()).await,
            ),
            ("private_key_jwt", show(&world, &assertion).await),
        ] {
            let expected = if used == method { AUTHENTICATED } else { REFUSED };
            assert_eq!(error(&answer), expected, "{method} by {used}: {answer:?}");
        }
    }
}

/// Requirements: as.client.secret, as.client.assertion
#[tokio::test]
async fn given_two_methods_at_a_time_then_the_request_is_invalid() {
    let world = TestServer::new(&["a"]).await;
    let client = registered(&world, "private_key_jwt").await;
    let id = client.text("client_id");
    let assertion = signer().sign(None, &claims(&world, id, "1"));
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:x")));
    let assert = [TYPE, ("client_assertion", assertion.as_str())];
    let with_secret = [FORM.as_slice(), &assert, &[("client_id", id), ("client_secret", "x")]].concat();
    assert_eq!(error(&world.post(A, &with_secret).await), (400, "invalid_request"));
    let with_header = [FORM.as_slice(), &assert].concat();
    assert_eq!(error(&world.post_as(A, &with_header, Some(&basic)).await), (400, "invalid_request"));
    let of_another = [FORM.as_slice(), &assert, &[("client_id", "pc_client_other")]].concat();
    assert_eq!(error(&world.post(A, &of_another).await), (400, "invalid_request"));
    for (form, problem) in [
        (vec![TYPE], "client_assertion is missing"),
        (vec![assert[1]], "client_assertion_type must be "),
        (vec![("client_assertion_type", "saml2"), assert[1]], "client_assertion_type must be "),
    ] {
        let form = [FORM.as_slice(), &[("client_id", id)], &form].concat();
        let answer = world.post(A, &form).await;
        assert_eq!(error(&answer), (400, "invalid_request"));
        assert!(answer.text("error_description").starts_with(problem), "{answer:?}");
    }
}

/// Requirements: as.client.assertion
#[tokio::test]
async fn given_an_assertion_when_it_comes_again_to_any_replica_then_it_does_not_count() {
    let world = TestServer::new(&["a"]).await;
    let other = world.replica(&["a"]).await;
    let registered = registered(&world, "private_key_jwt").await;
    let id = registered.text("client_id");
    let client = world.identity.clients.client(id).await.unwrap();
    let code = world.code(&client, "a", false).await;
    let assertion = signer().sign(Some("JWT"), &claims(&world, id, "1"));
    let exchanged = world.exchange(A, &client, &code, &[TYPE, ("client_assertion", &assertion)]).await;
    assert_eq!(exchanged.status, 200, "{exchanged:?}");
    world.events(EventKind::Token);
    assert_eq!(error(&show(&world, &assertion).await), REFUSED);
    assert_eq!(world.events(EventKind::Token)[0].reason, Some("assertion_reused"));
    assert_eq!(error(&show(&other, &assertion).await), REFUSED);
    // Until it expires, also after expired rows were deleted.
    world.advance(300);
    world.prune().await;
    assert_eq!(error(&show(&world, &assertion).await), REFUSED);
}

/// A stranger can register a client with a key, and sign any number of assertions.
///
/// Requirements: as.client.assertion
#[tokio::test]
async fn given_an_assertion_when_its_request_fails_otherwise_then_nothing_is_stored_and_it_counts_later() {
    let world = TestServer::new(&["a"]).await;
    let registered = registered(&world, "private_key_jwt").await;
    let id = registered.text("client_id");
    let client = world.identity.clients.client(id).await.unwrap();
    let code = world.code(&client, "a", false).await;
    let assertion = signer().sign(None, &claims(&world, id, "1"));
    let asserted = [TYPE, ("client_assertion", assertion.as_str())];
    for _ in 0..3 {
        assert_eq!(error(&show(&world, &assertion).await), AUTHENTICATED);
        let form = [asserted.as_slice(), &[("token", "pc_refresh_x")]].concat();
        assert_eq!(world.post("/mcp/a/oauth/revoke", &form).await.status, 200);
        let form = [asserted.as_slice(), &[("grant_type", "client_credentials")]].concat();
        assert_eq!(error(&world.post(A, &form).await), (400, "unauthorized_client"));
    }
    assert_eq!(world.exchange(A, &client, &code, &asserted).await.status, 200);
    assert_eq!(error(&show(&world, &assertion).await), REFUSED);
}

/// Requirements: as.client.assertion
#[tokio::test]
async fn given_an_assertion_when_its_audience_is_the_issuer_or_its_token_endpoint_then_it_counts() {
    let world = TestServer::new(&["a"]).await;
    let client = registered(&world, "private_key_jwt").await;
    let endpoint = format!("{ISSUER}/oauth/token");
    for (at, audience) in [json!(ISSUER), json!([ISSUER]), json!(endpoint)].iter().enumerate() {
        let mut claims = claims(&world, client.text("client_id"), &at.to_string());
        claims["aud"] = audience.clone();
        assert_eq!(error(&show(&world, &signer().sign(None, &claims)).await), AUTHENTICATED, "{audience}");
    }
}

/// Requirements: as.client.assertion
#[tokio::test]
async fn given_an_assertion_when_anything_in_it_is_not_as_it_must_be_then_it_does_not_count() {
    let world = TestServer::new(&["a", "b"]).await;
    let client = registered(&world, "private_key_jwt").await;
    let other = registered(&world, "private_key_jwt").await;
    let (id, now) = (client.text("client_id"), world.clock.now().seconds());
    let changed = |name: &str, value: Value| {
        let mut claims = claims(&world, id, name);
        claims[name] = value;
        claims
    };
    for (claims, reason) in [
        (changed("iss", json!(other.text("client_id"))), "assertion_mismatch"),
        (changed("iss", json!(null)), "assertion_malformed"),
        (changed("aud", json!("https://gateway.example/mcp/b")), "assertion_mismatch"),
        (changed("aud", json!("https://gateway.example")), "assertion_mismatch"),
        (changed("aud", json!("https://elsewhere.example")), "assertion_mismatch"),
        (changed("aud", json!([ISSUER, "https://elsewhere.example"])), "assertion_mismatch"),
        (changed("aud", json!([])), "assertion_malformed"),
        (changed("exp", json!(now - 60)), "assertion_time"),
        (changed("exp", json!(now + 3661)), "assertion_time"),
        (changed("exp", json!("soon")), "assertion_malformed"),
        (changed("exp", json!(null)), "assertion_malformed"),
        (changed("nbf", json!(now + 61)), "assertion_time"),
        (changed("iat", json!(now + 61)), "assertion_time"),
        (changed("jti", json!(null)), "assertion_malformed"),
        (changed("jti", json!("x".repeat(2000))), "assertion_malformed"),
    ] {
        world.events(EventKind::Token);
        assert_eq!(error(&show(&world, &signer().sign(None, &claims)).await), REFUSED, "{claims}");
        assert_eq!(world.events(EventKind::Token)[0].reason, Some(reason), "{claims}");
    }
    let sound = claims(&world, id, "sound");
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&sound.to_string()));
    let signed = signer().sign(None, &sound);
    for forged in [
        unsigned,
        signer().sign_critical(&sound),
        signer().sign_with_public_key_as_secret(None, &sound),
        Signer::new("one", 2).sign(None, &sound),
        Signer::new("two", 2).sign(None, &sound),
        signer().sign(Some("at+jwt"), &sound),
        signer().sign(Some("oauth-id-jag+jwt"), &sound),
        "a.b.c".to_owned(),
        "x".repeat(20_000),
    ] {
        assert_eq!(error(&show(&world, &forged).await), REFUSED, "{forged}");
    }
    assert_eq!(error(&show(&world, &signed).await), AUTHENTICATED, "nothing of that has used it up");
}

/// Requirements: as.client.assertion
#[tokio::test]
async fn given_a_client_that_promised_an_algorithm_when_it_uses_another_then_it_is_refused() {
    let world = TestServer::new(&["a"]).await;
    let mut jwks = signer().jwks();
    jwks["keys"]
        .as_array_mut()
        .unwrap()
        .push(json!({"kty": "EC", "crv": "P-256", "x": "x".repeat(43), "y": "y".repeat(43)}));
    let document = json!({
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks,
        "token_endpoint_auth_signing_alg": "ES256",
    });
    let client = world.register("/register", &document).await;
    let assertion = signer().sign(None, &claims(&world, client.text("client_id"), "1"));
    assert_eq!(error(&show(&world, &assertion).await), REFUSED);
}

/// Requirements: as.document.keys
#[tokio::test]
async fn given_a_document_with_keys_when_its_client_comes_without_then_only_one_that_lists_none_may() {
    let world = TestServer::new(&["a"]).await;
    let id = "https://client.example/client.json";
    let mut document = json!({
        "client_id": id, "client_name": "Chat", "redirect_uris": ["https://client.example/cb"],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": signer().jwks(),
    });
    world.identity.clients.cache_document(&document);
    let without = [FORM.as_slice(), &[("client_id", id)]].concat();
    assert_eq!(error(&world.post(A, &without).await), REFUSED);
    assert_eq!(error(&show(&world, &signer().sign(None, &claims(&world, id, "1"))).await), AUTHENTICATED);
    document["token_endpoint_auth_methods_supported"] = json!(["none", "private_key_jwt"]);
    world.identity.clients.cache_document(&document);
    assert_eq!(error(&world.post(A, &without).await), AUTHENTICATED);
    assert_eq!(
        error(&show(&world, &Signer::new("one", 2).sign(None, &claims(&world, id, "2"))).await),
        REFUSED
    );
}

#[tokio::test]
async fn given_a_document_whose_host_does_not_answer_when_it_was_read_before_then_it_still_counts() {
    let world = TestServer::new(&["a"]).await;
    let id = "https://client.invalid/client.json";
    let without = [FORM.as_slice(), &[("client_id", id)]].concat();
    let answer = world.post(A, &without).await;
    assert_eq!(
        (error(&answer), answer.headers.contains_key("retry-after")),
        ((503, "temporarily_unavailable"), true)
    );
    world.identity.clients.cache_document(
        &json!({"client_id": id, "client_name": "Chat", "redirect_uris": ["https://client.invalid/cb"]}),
    );
    world.advance(7200);
    world.identity.feed_reader.read().await.unwrap();
    assert_eq!(error(&world.post(A, &without).await), AUTHENTICATED);
}

#[tokio::test]
async fn given_a_token_when_its_client_revokes_it_by_an_assertion_then_it_ends() {
    let world = TestServer::new(&["a"]).await;
    let registered = registered(&world, "private_key_jwt").await;
    let id = registered.text("client_id");
    let client = world.identity.clients.client(id).await.unwrap();
    let code = world.code(&client, "a", false).await;
    let assertion = signer().sign(None, &claims(&world, id, "1"));
    let issued = world.exchange(A, &client, &code, &[TYPE, ("client_assertion", &assertion)]).await;
    let token = ("token", issued.text("access_token"));
    assert!(world.authenticate(token.1, "a").await.is_ok());
    let revoke = "/mcp/a/oauth/revoke";
    assert_eq!(error(&world.post(revoke, &[("client_id", id), token]).await), REFUSED);
    let again = signer().sign(None, &claims(&world, id, "2"));
    assert_eq!(world.post(revoke, &[TYPE, ("client_assertion", &again), token]).await.status, 200);
    assert!(world.authenticate(token.1, "a").await.is_err());
}
