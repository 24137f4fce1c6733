//! Golden tests of stored authorization requests, and of the redirects to clients.

use portcullis_golden::assert_golden;
use portcullis_keyring::digest;
use serde_json::json;

use super::pending::PendingAuthorization;
use super::redirect::ClientRedirect;
use super::request::AuthorizationParams;
use super::*;
use crate::golden::{opened, portal, pretty};

fn address() -> ClientRedirect {
    ClientRedirect {
        redirect_uri: "http://127.0.0.1:33418/callback".to_owned(),
        state: Some("a%20state".to_owned()),
        iss: "https://gateway.example/mcp/a".to_owned(),
    }
}

#[tokio::test]
async fn an_authorization_request_is_sealed_as_before() {
    let portal = portal().await;
    let asked = AuthorizationParams {
        at_root: true,
        route_uid: "route-uid".to_owned(),
        client_id: "client-id".to_owned(),
        answer: address(),
        code_challenge: "code-challenge".to_owned(),
        scope: "mcp".to_owned(),
        ask_again: true,
        signed_in_after: Some(1_790_000_000_000),
    };
    let id = digest(PendingAuthorization::create(&portal, &asked).await.unwrap());
    let row = portal.store.pending_authorization(&id, 0).await.unwrap().unwrap();
    let text = opened(&portal, &["authorization", &id], &row.request);
    let bound_to = ["authorization", "<digest of the id>"];
    let golden = json!({"purpose": "browser", "bound_to": bound_to, "text": text});
    assert_golden("authorization-server/stored-authorization-request.json", &pretty(&golden));
}

#[test]
fn answers_to_clients_are_stable() {
    let address = address();
    let denied = OAuthError::new("access_denied", "<description>");
    let golden = json!({
        "code": address.with_code("code"), "error": address.with_error(denied), "stored as": address.approved_as(),
    });
    assert_golden("authorization-server/redirects.json", &pretty(&golden));
}
