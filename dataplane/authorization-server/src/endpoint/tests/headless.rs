//! Client credentials: MCP extension `io.modelcontextprotocol/oauth-client-credentials`.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use parking_lot::Mutex;
use portcullis_config::{Config, TeamConfig, WorkloadConfig, WorkloadCredential};
use portcullis_events::{EventKind, Outcome};
use portcullis_policy::PrincipalKind;
use serde_json::{Value, json};

use super::{A, error};
use crate::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use crate::testing::{Signer, TestServer, serve};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

/// A team with these members and access to the route `a`.
pub(super) fn team(members: Value) -> TeamConfig {
    let mut all = json!({"groups": [], "users": [], "serviceAccounts": []});
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "uid": "t", "name": "default/t", "displayName": "T", "members": all,
        "access": [{"route": "uid-a", "tools": {"include": null, "exclude": [], "overrides": []}}],
    }))
    .unwrap()
}

pub(super) fn workload(credential: WorkloadCredential) -> WorkloadConfig {
    WorkloadConfig { name: "reporter".to_owned(), display_name: "The reporter".to_owned(), credential }
}

fn with_key(contract: &mut Config) {
    contract.gateway.clients.workloads = vec![workload(WorkloadCredential::Jwks(signer().jwks()))];
    contract.teams = vec![team(json!({"workloads": ["reporter"]}))];
}

fn signer() -> Signer {
    Signer::new("one", 1)
}

fn assertion(world: &TestServer, signer: &Signer, jti: &str, audience: &str) -> String {
    let exp = world.clock.now().seconds() + 300;
    signer.sign(None, &json!({"iss": "reporter", "sub": "reporter", "aud": audience, "exp": exp, "jti": jti}))
}

/// Requirements: as.headless.workload
#[tokio::test]
async fn given_a_workload_with_a_key_when_it_signs_in_then_its_token_is_for_the_route_and_cannot_be_refreshed()
 {
    let world = TestServer::new(&["a", "b"]).await;
    world.swap(&["a", "b"], with_key);
    let signed = assertion(&world, &signer(), "1", "https://gateway.example/mcp/a");
    let answer = world.post(A, &[GRANT, TYPE, ("client_assertion", &signed), ("scope", "mcp other")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((answer.text("scope"), answer.json.get("refresh_token")), ("mcp", None));
    let token = answer.text("access_token");
    let claims: AccessClaims = world.keys.signing.verify(ACCESS_TOKEN_TYPE, token).unwrap();
    assert_eq!(
        (claims.aud.as_str(), claims.client_id.as_str()),
        ("https://gateway.example/mcp/a", "reporter")
    );
    let caller = world.authenticate(token, "a").await.unwrap();
    assert_eq!(
        (caller.principal.kind(), &*caller.principal.subject),
        (PrincipalKind::Workload, "system:workload:reporter")
    );
    assert!(world.route("a").authorize(&caller.principal).is_some());
    assert!(world.authenticate(token, "b").await.is_err());
    let event = world.events(EventKind::Token).pop().unwrap();
    assert_eq!(
        (event.outcome, event.subject.as_deref()),
        (Outcome::Success, Some("system:workload:reporter"))
    );
    assert_eq!(
        (event.client_id.as_deref(), event.client_name.as_deref()),
        (Some("reporter"), Some("The reporter"))
    );
}

/// Requirements: as.headless.workload
#[tokio::test]
async fn given_a_workload_when_no_team_names_it_then_it_gets_no_token() {
    let world = TestServer::new(&["a", "b"]).await;
    world.swap(&["a", "b"], with_key);
    let signed = assertion(&world, &signer(), "1", "https://gateway.example/mcp/b");
    let answer = world.post("/mcp/b/oauth/token", &[GRANT, TYPE, ("client_assertion", &signed)]).await;
    assert_eq!(error(&answer), (400, "access_denied"));
    let event = world.events(EventKind::Token).pop().unwrap();
    assert_eq!((event.outcome, event.reason), (Outcome::Denied, Some("no_access")));
}

/// Requirements: as.headless.workload
#[tokio::test]
async fn given_a_workload_when_it_is_taken_out_of_the_settings_then_its_tokens_end_at_once() {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], with_key);
    let signed = assertion(&world, &signer(), "1", "https://gateway.example/mcp/a");
    let answer = world.post(A, &[GRANT, TYPE, ("client_assertion", &signed)]).await;
    let caller = world.authenticate(answer.text("access_token"), "a").await.unwrap();
    world.swap(&["a"], |contract| {
        with_key(contract);
        contract.gateway.clients.workloads.clear();
    });
    assert!(world.authenticate(answer.text("access_token"), "a").await.is_err());
    assert!(world.identity.access_tokens.current_principal(&caller).is_none(), "an open stream ends too");
    let signed = assertion(&world, &signer(), "2", "https://gateway.example/mcp/a");
    assert_eq!(
        error(&world.post(A, &[GRANT, TYPE, ("client_assertion", &signed)]).await),
        (401, "invalid_client")
    );
}

#[tokio::test]
async fn given_a_workload_with_an_open_stream_when_its_token_expires_then_the_stream_ends() {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], with_key);
    let signed = assertion(&world, &signer(), "1", "https://gateway.example/mcp/a");
    let answer = world.post(A, &[GRANT, TYPE, ("client_assertion", &signed)]).await;
    let caller = world.authenticate(answer.text("access_token"), "a").await.unwrap();
    let goes_on = async || {
        world.identity.feed_reader.read().await.unwrap();
        world.identity.access_tokens.current_principal(&caller).is_some()
    };
    world.advance(899);
    assert!(goes_on().await);
    world.advance(1);
    assert!(!goes_on().await);
}

#[tokio::test]
async fn given_a_workloads_token_when_it_revokes_it_then_it_ends() {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], with_key);
    let signed = assertion(&world, &signer(), "1", "https://gateway.example/mcp/a");
    let answer = world.post(A, &[GRANT, TYPE, ("client_assertion", &signed)]).await;
    let signed = assertion(&world, &signer(), "2", "https://gateway.example/mcp/a");
    let form = [TYPE, ("client_assertion", signed.as_str()), ("token", answer.text("access_token"))];
    assert_eq!(world.post("/mcp/a/oauth/revoke", &form).await.status, 200);
    assert!(world.authenticate(answer.text("access_token"), "a").await.is_err());
}

/// Requirements: as.headless.workload
#[tokio::test]
async fn given_a_client_that_registered_by_itself_when_it_wants_to_be_a_workload_then_it_is_not() {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], with_key);
    let client = world.client().await;
    assert_eq!(
        error(&world.post(A, &[GRANT, ("client_id", &client.id)]).await),
        (400, "unauthorized_client")
    );
    assert_eq!(error(&world.post(A, &[GRANT, ("client_id", "reporter")]).await), (401, "invalid_client"));
    assert_eq!(error(&world.post(A, &[GRANT]).await), (400, "invalid_request"));
    assert!(world.identity.clients.client("reporter").await.is_err(), "it cannot be approved in a browser");
}

/// Requirements: as.headless.short
#[tokio::test]
async fn given_the_root_issuer_when_a_workload_asks_there_then_it_has_to_say_for_what() {
    let world = TestServer::new(&["a", "b"]).await;
    world.swap(&["a", "b"], with_key);
    for (jti, resource, expected) in [
        ("1", None, (400, "invalid_target")),
        ("2", Some("https://gateway.example/mcp/c"), (400, "invalid_target")),
        ("3", Some("https://gateway.example/mcp/b"), (400, "access_denied")),
        ("4", Some("https://gateway.example/mcp/a"), (200, "")),
    ] {
        let signed = assertion(&world, &signer(), jti, "https://gateway.example");
        let mut form = vec![GRANT, TYPE, ("client_assertion", &signed)];
        form.extend(resource.map(|resource| ("resource", resource)));
        assert_eq!(error(&world.post("/oauth/token", &form).await), expected, "{resource:?}");
    }
    let signed = assertion(&world, &signer(), "5", "https://gateway.example/mcp/a");
    let form = [GRANT, TYPE, ("client_assertion", &signed), ("resource", "https://gateway.example/mcp/b")];
    assert_eq!(error(&world.post(A, &form).await), (400, "invalid_target"));
}

/// Requirements: as.headless.metadata
#[tokio::test]
async fn given_metadata_then_it_lists_the_grants_that_are_turned_on_and_no_others() {
    let world = TestServer::new(&["a"]).await;
    let path = "/.well-known/oauth-authorization-server/mcp/a";
    assert_eq!(
        world.get(path).await.json["grant_types_supported"],
        json!(["authorization_code", "refresh_token"])
    );
    world.swap(&["a"], with_key);
    let document = world.get(path).await.json;
    assert_eq!(
        document["grant_types_supported"],
        json!(["authorization_code", "refresh_token", "client_credentials"])
    );
    let algorithms = document["token_endpoint_auth_signing_alg_values_supported"].as_array().unwrap();
    assert!(algorithms.contains(&json!("ES256")) && algorithms.contains(&json!("RS256")));
    assert!(algorithms.iter().all(|name| !name.as_str().unwrap().starts_with("HS") && name != "none"));
    assert!(document.get("authorization_grant_profiles_supported").is_none());
}

/// A JWKS URL that counts its requests.
struct KeyHost {
    keys: Mutex<Value>,
    asked: Mutex<usize>,
}

/// Requirements: as.client.keys
#[tokio::test]
async fn given_keys_at_an_address_when_they_rotate_then_an_unknown_one_is_looked_up_once_and_not_at_will() {
    let host = Arc::new(KeyHost { keys: Mutex::new(signer().jwks()), asked: Mutex::new(0) });
    let serving = Arc::clone(&host);
    let keys = get(move || async move {
        *serving.asked.lock() += 1;
        axum::Json(serving.keys.lock().clone())
    });
    let base = serve(Router::new().route("/keys", keys)).await;
    let world = TestServer::new(&["a"]).await;
    let networks = |networks: &[&str]| WorkloadCredential::JwksUri {
        url: format!("{base}/keys").parse().unwrap(),
        private_networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
    };
    let change = |credential: WorkloadCredential| {
        move |contract: &mut Config| {
            with_key(contract);
            contract.gateway.clients.workloads = vec![workload(credential)];
        }
    };
    let audience = "https://gateway.example/mcp/a";
    let show = |signer: Signer, jti: &'static str| {
        let signed = assertion(&world, &signer, jti, audience);
        let world = &world;
        async move { world.post(A, &[GRANT, TYPE, ("client_assertion", &signed)]).await }
    };
    world.swap(&["a"], change(networks(&[])));
    assert_eq!(error(&show(signer(), "0").await), (503, "temporarily_unavailable"), "not a public address");
    assert_eq!(*host.asked.lock(), 0);
    world.swap(&["a"], change(networks(&["127.0.0.0/8"])));
    assert_eq!(show(signer(), "1").await.status, 200);
    assert_eq!(show(signer(), "2").await.status, 200);
    assert_eq!(*host.asked.lock(), 1, "remembered");

    *host.keys.lock() = Signer::new("two", 2).jwks();
    assert_eq!(error(&show(Signer::new("two", 2), "3").await), (401, "invalid_client"), "asked a moment ago");
    world.advance(10);
    world.identity.feed_reader.read().await.unwrap();
    assert_eq!(show(Signer::new("two", 2), "4").await.status, 200);
    assert_eq!(*host.asked.lock(), 2);
    for jti in ["5", "6", "7"] {
        assert_eq!(error(&show(Signer::new("three", 3), jti).await), (401, "invalid_client"));
    }
    assert_eq!(*host.asked.lock(), 2);
}
