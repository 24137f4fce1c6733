//! Golden tests of tokens, published documents and stored rows.

mod errors;
mod published;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_golden::{assert_golden, derived_key_document};
use portcullis_keyring::{Keyring, digest};
use portcullis_policy::{Principal, PrincipalId};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::claims::{ACCESS_TOKEN_TYPE, AccessClaims};
use crate::testing::{REDIRECT, TestServer};

/// Length of 256 random bits in base64url.
const RANDOM: usize = 43;

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// Removes the random part of identifiers and tokens from a document.
fn shown(value: &Value) -> Value {
    let is_random = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shown(value))).collect(),
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::String(text) => {
            match text.len().checked_sub(RANDOM).and_then(|at| text.split_at_checked(at)) {
                Some((prefix, random)) if is_random(random) => format!("{prefix}<random>").into(),
                _ => value.clone(),
            }
        }
        other => other.clone(),
    }
}

/// Header and claims of a JWT.
fn opened(token: &str) -> Value {
    let part = |at| {
        let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&part).unwrap()
    };
    json!({"header": part(0), "claims": part(1)})
}

#[test]
fn an_access_token_is_signed_as_before() {
    let keys = Keyring::from_json(derived_key_document().as_bytes()).unwrap();
    let text = |text: &str| text.to_owned();
    let claims = AccessClaims {
        iss: text("https://gateway.example/mcp/a"),
        aud: text("https://gateway.example/mcp/a"),
        sub: text("principal-id"),
        client_id: text("client-id"),
        client_name: text("client-name"),
        jti: text("jti"),
        iat: 1_790_000_000,
        exp: 1_790_000_900,
        scope: text("mcp"),
        grant: text("grant-id"),
        grant_exp: Some(1_792_592_000),
        route: text("route-uid"),
    };
    let token = keys.signing.sign(ACCESS_TOKEN_TYPE, &claims).unwrap();
    let golden = json!({"token": token, "opened": opened(&token), "jwks": keys.signing.jwks()});
    assert_golden("authorization-server/access-token.json", &pretty(&golden));
}

#[tokio::test]
async fn codes_tokens_and_stored_rows_have_their_shape() {
    let world = TestServer::new(&["a"]).await;
    let client = world.client().await;
    let code = world.code(&client, "a", false).await;
    let row = world.store.code(&digest(&code)).await.unwrap().unwrap();
    let answer = world.exchange("/mcp/a/oauth/token", &client, &code, &[]).await;
    let mut access_token = opened(answer.text("access_token"));
    access_token["header"]["kid"] = json!("<key id>");
    let grant = access_token["claims"]["grant"].as_str().unwrap().to_owned();
    let grant = world.store.grant(&grant).await.unwrap().unwrap();
    let mut response = answer.json.clone();
    response["access_token"] = access_token;
    let golden = json!({
        "code": code,
        "stored code": {
            "digest is SHA-256 in base64url": row.digest == URL_SAFE_NO_PAD.encode(Sha256::digest(&code)),
            "issuer": row.issuer, "resource": row.resource, "redirect_uri": row.redirect_uri, "scope": row.scope,
            "lifetime": row.expires_at - world.clock.now().0, "code_challenge": row.code_challenge,
        },
        "token response": response,
        "stored grant": {
            "id": grant.id, "principal": grant.principal, "issuer": grant.issuer, "route_uid": grant.route_uid,
            "resource": grant.resource, "scope": grant.scope, "lifetime": grant.expires_at - grant.created_at,
        },
    });
    assert_golden("authorization-server/tokens.json", &pretty(&shown(&golden)));
}

#[test]
fn principals_have_their_ids() {
    let all = [
        Principal::new("company", "ana", None, None, ["finance"]),
        Principal::workload("reporter", "The reporter"),
        Principal::service_account("mcp", "reporter"),
    ];
    let shown = |it: &Principal| json!({"id": it.id.as_str(), "identity_provider": it.identity_provider, "subject": it.subject});
    let golden = json!({
        "principals": all.iter().map(shown).collect::<Vec<_>>(),
        "shared account": PrincipalId::shared().as_str(),
    });
    assert_golden("authorization-server/principals.json", &pretty(&golden));
}

#[tokio::test]
async fn registrations_are_answered_and_stored_as_before() {
    let world = TestServer::new(&["a"]).await;
    let full = json!({
        "redirect_uris": [REDIRECT, "https://client.example/callback"], "client_name": "Test",
        "client_uri": "https://client.example/", "logo_uri": "https://client.example/logo.png",
        "application_type": "web", "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://client.example/keys",
    });
    let mut golden = Vec::new();
    for document in [full, json!({"redirect_uris": [REDIRECT], "client_name": "Test"})] {
        let answer = world.register("/register", &document).await;
        let stored = world.store.client(answer.text("client_id"), 0).await.unwrap().unwrap();
        golden.push(json!({"answer": answer.json, "stored metadata": stored.metadata}));
    }
    assert_golden("authorization-server/registrations.json", &pretty(&shown(&json!(golden))));
}
