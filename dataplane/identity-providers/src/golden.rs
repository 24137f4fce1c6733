//! Golden tests of stored data about accounts at identity providers. Envelopes of earlier builds must still
//! open.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::{Clock, Random, UnixMillis};
use portcullis_config::ProviderClient;
use portcullis_golden::{assert_golden, derived_key_document};
use portcullis_jwt_verification::JwtError;
use portcullis_keyring::{Keyring, Purpose};
use portcullis_policy::PrincipalId;
use portcullis_store::Store;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::stored_account::{StoredAccount, StoredAccounts};
use crate::{LogoutError, Problem, ProviderError, account_key, session_key};

/// Fixed key rings.
fn keys() -> Arc<Keyring> {
    Arc::new(Keyring::from_json(derived_key_document().as_bytes()).unwrap())
}

async fn accounts() -> StoredAccounts {
    let (store, clock) = (Store::in_memory().await.unwrap(), Clock::manual(UnixMillis(0)));
    StoredAccounts::new(store, keys(), clock, Random::system())
}

fn client() -> ProviderClient {
    serde_json::from_value(json!({
        "issuer": "https://idp.example", "clientId": "client-id", "clientSecret": null, "scopes": ["openid"],
        "claims": {"subject": "sub", "email": "email", "name": "name", "groups": "groups"},
        "trustEmail": false, "privateNetworks": [], "caBundlePem": null,
    }))
    .unwrap()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[tokio::test]
async fn a_stored_refresh_token_opens_as_before() {
    const FILE: &str = "identity-providers/stored-refresh-tokens.json";
    let path = format!("{}/../../tests/golden/files/{FILE}", env!("CARGO_MANIFEST_DIR"));
    let kept: Value = serde_json::from_slice(&std::fs::read(path).unwrap_or_default()).unwrap_or_default();
    let (accounts, client, who) = (accounts().await, client(), PrincipalId::from_stored("principal-id"));
    let bound_to = ["principal-id", "company", "https://idp.example", "client-id"];
    let mut golden = Map::new();
    for (name, nonce) in [("OpenID Connect", Some("nonce")), ("OAuth", None)] {
        let account = StoredAccount {
            refresh_token: Zeroizing::new("refresh-token".to_owned()),
            sub: "sub".to_owned(),
            nonce: nonce.map(str::to_owned),
        };
        let fresh = accounts.seal(&who, "company", &client, &account).unwrap();
        let sealed = kept[name]["sealed"].as_str().unwrap_or(&fresh);
        let opened = accounts.open(&who, "company", &client, sealed).unwrap();
        assert_eq!(
            (&opened.sub, &opened.nonce),
            (&account.sub, &account.nonce),
            "{name} of an earlier build"
        );
        let envelope = URL_SAFE_NO_PAD.decode(sealed).unwrap();
        let text = keys().sealing.open(Purpose::IdentityProvider, &bound_to, &envelope).unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        let entry = json!({"purpose": "provider", "bound_to": bound_to, "text": text, "sealed": sealed});
        golden.insert(name.to_owned(), entry);
    }
    assert_golden(FILE, &pretty(&Value::Object(golden)));
}

#[test]
fn digests_of_subjects_and_sessions_are_stable() {
    let digests = json!({
        "provider_accounts.subject of company and sub": account_key("company", "sub"),
        "provider_session of company and sid": session_key("company", "sid"),
    });
    assert_golden("identity-providers/digests.json", &pretty(&digests));
}

#[test]
fn reasons_are_stable() {
    let text = String::new;
    let provider = [
        ProviderError::Unavailable(Problem::new("")),
        ProviderError::invalid(""),
        ProviderError::OtherIssuer,
        ProviderError::IssuerChanged,
        ProviderError::Refused { code: text(), description: None },
        ProviderError::Gateway(Problem::new("")),
    ];
    let assertion = [
        JwtError::Malformed,
        JwtError::WrongType,
        JwtError::Claim(""),
        JwtError::Algorithm,
        JwtError::UnknownKey,
        JwtError::Signature,
        JwtError::Mismatch(""),
        JwtError::Expired,
        JwtError::NotYetValid,
        JwtError::LifetimeTooLong,
        JwtError::Reused,
        JwtError::KeysUnavailable(text().into()),
        JwtError::KeysUnusable(text().into()),
    ];
    let reasons = json!({
        "sign-in": provider.map(|error| error.reason()),
        "assertion": assertion.iter().map(JwtError::reason).collect::<Vec<_>>(),
        "logout": [
            LogoutError::NotOpenId.reason(),
            LogoutError::Token(JwtError::WrongType).reason(),
        ],
    });
    assert_golden("identity-providers/reasons.json", &pretty(&reasons));
}
