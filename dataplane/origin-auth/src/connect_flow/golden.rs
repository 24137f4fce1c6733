//! Golden test of a stored connect flow.

use super::*;
use crate::golden::{assert_sealed, dependencies, table};

#[tokio::test]
async fn a_stored_connect_flow_opens_as_before() {
    let dependencies = dependencies().await;
    let flows = ConnectFlowStore::new(&dependencies, &Arc::new(CredentialSealer::new(&dependencies)));
    let table = table();
    let origin = table.origin("origin-id").unwrap();
    let endpoint = |path: &str| Url::parse("https://as.example").unwrap().join(path).unwrap();
    let flow = ConnectFlow {
        origin_url: "https://origin.example/mcp".to_owned(),
        resource: "https://origin.example/resource".to_owned(),
        issuer: "https://as.example".to_owned(),
        iss_required: true,
        token_endpoint: endpoint("token"),
        revocation_endpoint: Some(endpoint("revoke")),
        client_id: "client-id".to_owned(),
        client_secret: Some(Zeroizing::new("client-secret".to_owned())),
        auth_method: "client_secret_basic".to_owned(),
        registration: "dynamic".to_owned(),
        redirect_uri: "https://gateway.example/connect/origin-id/callback".to_owned(),
        verifier: Zeroizing::new("verifier".to_owned()),
        scope: "read write".to_owned(),
        step_up: "write".to_owned(),
        return_to: "/connections".to_owned(),
    };
    let who = PrincipalId::from_stored("principal-id");
    flows.put(&who, origin, "browser-digest", "state", &flow).await.unwrap();
    // SHA-256 of the state, base64url.
    let state_digest = "S6aXNcpTdl7WpwnttWxuoja3GTo7KaazkMNG8PQ0Dk4";
    let row = dependencies.store.take_connect_flow(&digest("state"), 0).await.unwrap().unwrap();
    let bound_to = ["connect flow", "principal-id", "origin-uid", state_digest, "browser-digest"];
    assert_sealed("origin-auth/stored-connect-flow.json", &[("all", &bound_to, row.sealed)]);
}
