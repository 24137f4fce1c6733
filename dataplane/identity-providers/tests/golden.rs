//! Golden test of the requests to an identity provider during a sign-in.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use portcullis_golden::assert_golden;
use serde_json::{Value, json};
use support::TestGateway;

fn shown(pairs: impl IntoIterator<Item = (String, String)>) -> Value {
    let random = ["nonce", "code_challenge", "code_verifier"];
    let show = |(name, value): (String, String)| match random.contains(&name.as_str()) {
        true => (name, format!("<{} characters>", value.len())),
        false => (name, value),
    };
    pairs.into_iter().map(show).map(|(name, value)| (name, Value::from(value))).collect()
}

#[tokio::test]
async fn requests_to_identity_providers_are_stable() {
    let mut golden = Vec::new();
    for settings in [json!({}), json!({"userinfo": true})] {
        let world = TestGateway::with(settings).await;
        world.idp.metadata(json!({"scopes_supported": ["openid", "offline_access"]}));
        let (url, proof) = world.begin().await;
        world.answer(&proof, json!({})).await.unwrap();
        golden.push(json!({
            "browser": shown(url.query_pairs().into_owned()),
            "token": world.idp.asked("authorization_code").into_iter().map(shown).collect::<Vec<_>>(),
        }));
    }
    assert_golden("identity-providers/requests.json", &serde_json::to_string_pretty(&golden).unwrap());
}
