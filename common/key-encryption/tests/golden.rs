//! Stored form of encrypted key rings, and the requests to a transit service (HashiCorp Vault, OpenBao).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::{Json, Router};
use clap::Parser;
use parking_lot::Mutex;
use portcullis_egress::HttpClients;
use portcullis_golden::assert_golden;
use portcullis_key_encryption::{KeyEncryption, KeyEncryptionArgs};
use serde_json::{Value, json};

const RINGS: &[u8] = br#"{"signing":[],"sealing":[]}"#;

type Requests = Arc<Mutex<Vec<Value>>>;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    encryption: KeyEncryptionArgs,
}

/// Behaves like a transit engine and the Kubernetes auth method, and records the requests.
async fn answer(
    State(requests): State<Requests>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "host" | "user-agent" | "content-length"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    requests.lock().push(json!({
        "method": method.as_str(), "path": uri.to_string(), "headers": headers,
        "body": String::from_utf8(body.to_vec()).unwrap(),
    }));
    let plaintext = "eyJzaWduaW5nIjpbXSwic2VhbGluZyI6W119";
    Json(json!({
        "auth": {"client_token": "by-login"},
        "data": {"ciphertext": "vault:v1:ciphertext", "plaintext": plaintext},
    }))
}

/// Encrypts and decrypts the rings, and compares the stored text and the requests.
async fn exchange(name: &str, login: impl Fn(&std::path::Path) -> String) {
    let requests = Requests::default();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&requests));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let credential = folder.path().join("credential");
    std::fs::write(&credential, "a-credential\n").unwrap();
    let arguments = format!(
        "it --keys-encryption transit --transit-address http://{address} --transit-mount team/transit --transit-key gate {}",
        login(&credential)
    );
    let command = Command::parse_from(arguments.split_whitespace());
    let encryption = KeyEncryption::new(&command.encryption, &HttpClients::new()).unwrap();
    let stored = encryption.encrypt(RINGS).await.unwrap();
    assert_eq!(*encryption.decrypt(&stored).await.unwrap(), RINGS);
    let requests = serde_json::to_string_pretty(&*requests.lock()).unwrap();
    assert_golden(&format!("key-encryption/requests-{name}.json"), &requests);
    assert_golden("key-encryption/stored.json", std::str::from_utf8(&stored).unwrap());
}

#[tokio::test]
async fn requests_with_a_token_stay() {
    exchange("with-token", |file| format!("--transit-token-file {}", file.display())).await;
}

#[tokio::test]
async fn requests_with_a_kubernetes_login_and_a_namespace_stay() {
    let login = |file: &std::path::Path| {
        format!(
            "--transit-kubernetes-role gateway --transit-kubernetes-mount cluster --transit-namespace team-a \
             --transit-service-account-token {}",
            file.display()
        )
    };
    exchange("with-kubernetes-login", login).await;
}
