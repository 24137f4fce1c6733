//! Metadata documents and the paths of all endpoints.

use axum::body::Body;
use http::{HeaderMap, Request};
use portcullis_config::{IdentityProviderKind, WorkloadConfig, WorkloadCredential};
use portcullis_golden::assert_golden;
use serde_json::{Map, Value, json};

use super::pretty;
use crate::AuthenticateError;
use crate::testing::{Signer, TestServer};

const DOCUMENTS: [&str; 8] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp/a",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-authorization-server/mcp/a",
    "/mcp/a/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration/mcp/a",
    "/mcp/a/.well-known/openid-configuration",
];

const ENDPOINTS: [&str; 8] = [
    "/mcp/a/oauth/register",
    "/oauth/register",
    "/register",
    "/mcp/a/oauth/token",
    "/oauth/token",
    "/mcp/a/oauth/revoke",
    "/oauth/revoke",
    "/oauth/jwks",
];

/// A gateway with every optional feature that appears in metadata.
async fn full() -> TestServer {
    let world = TestServer::new(&["a"]).await;
    world.swap(&["a"], |contract| {
        let provider = json!({
            "issuer": "https://idp.example", "clientId": "portcullis", "clientSecret": null, "scopes": ["openid"],
            "claims": {"subject": "sub", "email": "email", "name": "name", "groups": "groups"},
            "trustEmail": false, "idJag": true, "privateNetworks": [], "caBundlePem": null,
        });
        contract.gateway.identity_providers[0].kind =
            IdentityProviderKind::Oidc(serde_json::from_value(provider).unwrap());
        contract.gateway.clients.workloads = vec![WorkloadConfig {
            name: "reporter".to_owned(),
            display_name: "The reporter".to_owned(),
            credential: WorkloadCredential::Jwks(Signer::new("one", 1).jwks()),
        }];
    });
    world
}

#[tokio::test]
async fn metadata_documents_are_stable() {
    let (full, plain) = (full().await, TestServer::new(&["a"]).await);
    plain.swap(&["a"], |contract| {
        contract.gateway.clients.dynamic_registration = false;
        contract.gateway.clients.metadata_document_hosts.clear();
    });
    let mut golden = Map::new();
    for path in DOCUMENTS {
        golden.insert(path.to_owned(), full.get(path).await.json);
    }
    let closed = plain.get("/.well-known/oauth-authorization-server").await.json;
    golden.insert("without registration, workloads and assertions".to_owned(), closed);
    assert_golden("authorization-server/metadata.json", &pretty(&Value::Object(golden)));
}

fn headers_of(headers: &HeaderMap) -> Value {
    let shown =
        ["allow", "access-control-allow-origin", "access-control-expose-headers", "cache-control", "pragma"];
    let value = |name: &&str| Some(((*name).to_owned(), Value::from(headers.get(*name)?.to_str().ok()?)));
    shown.iter().filter_map(value).collect()
}

#[tokio::test]
async fn paths_and_methods_of_all_endpoints_are_stable() {
    let world = full().await;
    let mut golden = Map::new();
    for path in DOCUMENTS.into_iter().chain(ENDPOINTS) {
        let request = Request::delete(path).header("origin", "https://client.example");
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 405, "{path} is served");
        golden.insert(path.to_owned(), headers_of(&answer.headers));
    }
    assert_golden("authorization-server/paths.json", &pretty(&Value::Object(golden)));
}

#[tokio::test]
async fn challenges_have_their_parameters() {
    let world = TestServer::new(&["a"]).await;
    let errors =
        [None, Some(AuthenticateError::Invalid("reason")), Some(AuthenticateError::InsufficientScope)];
    let challenges = errors.map(|error| {
        let challenge = crate::challenge(&world.route("a"), error.as_ref());
        let challenge = challenge.to_str().unwrap().to_owned();
        // The description is prose.
        match error {
            Some(error) => challenge.replace(&error.to_string(), "<description>"),
            None => challenge,
        }
    });
    assert_golden("authorization-server/challenges.json", &pretty(&json!(challenges)));
}
