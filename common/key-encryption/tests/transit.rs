//! Requests to a transit service and handling of its responses, over real HTTP. The service is a stand-in
//! according to the API documentation; it keeps the plaintext and returns a handle. `tests/peers/transit.py`
//! is one that encrypts.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use clap::Parser;
use parking_lot::Mutex;
use portcullis_egress::HttpClients;
use portcullis_key_encryption::{KeyEncryption, KeyEncryptionArgs, KeyEncryptionError};
use serde_json::{Value, json};

const RINGS: &[u8] = br#"{"signing":[],"sealing":[]}"#;

#[derive(Default)]
struct Service {
    kept: Vec<String>,
    token: String,
    /// Response to all requests, instead of the normal one.
    instead: Option<(u16, Value)>,
    seen: Vec<(String, HeaderMap, Value)>,
}

type Shared = Arc<Mutex<Service>>;

async fn asked(
    State(service): State<Shared>,
    Path(path): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let mut service = service.lock();
    service.seen.push((path.clone(), headers.clone(), body.clone()));
    let answer =
        |status: u16, body: Value| (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
    if let Some((status, body)) = service.instead.clone() {
        return answer(status, body);
    }
    if path == "auth/cluster/login" {
        service.token = "by-login".to_owned();
        return answer(200, json!({"auth": {"client_token": "by-login", "lease_duration": 60}}));
    }
    if headers.get("x-vault-token").is_none_or(|token| *token != *service.token) {
        return answer(403, json!({"errors": ["1 error occurred:\n\t* permission denied\n\n"]}));
    }
    match path.as_str() {
        "team/transit/encrypt/gate" => {
            service.kept.push(body["plaintext"].as_str().unwrap().to_owned());
            answer(200, json!({"data": {"ciphertext": format!("vault:v1:{}", service.kept.len() - 1)}}))
        }
        "team/transit/decrypt/gate" => {
            let number = body["ciphertext"].as_str().unwrap().strip_prefix("vault:v1:").unwrap();
            answer(200, json!({"data": {"plaintext": service.kept[number.parse::<usize>().unwrap()]}}))
        }
        _ => answer(404, json!({"errors": []})),
    }
}

struct Harness {
    service: Shared,
    address: String,
    folder: tempfile::TempDir,
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    encryption: KeyEncryptionArgs,
}

impl Harness {
    async fn new() -> Self {
        let service = Shared::default();
        service.lock().token = "a-token".to_owned();
        let router = Router::new().route("/v1/{*path}", post(asked)).with_state(Arc::clone(&service));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let world = Self { service, address, folder: tempfile::tempdir().unwrap() };
        std::fs::write(world.file("token"), "a-token\n").unwrap();
        std::fs::write(world.file("jwt"), "a-service-account\n").unwrap();
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn encryption(&self, key: &str, more: &str) -> KeyEncryption {
        let text = format!(
            "it --keys-encryption transit --transit-address {} --transit-mount team/transit --transit-key {key} {more}",
            self.address
        );
        let command = Command::parse_from(text.split_whitespace());
        KeyEncryption::new(&command.encryption, &HttpClients::new()).unwrap()
    }

    fn by_token(&self) -> KeyEncryption {
        self.encryption("gate", &format!("--transit-token-file {}", self.file("token").display()))
    }

    fn seen(&self) -> Vec<String> {
        self.service.lock().seen.iter().map(|(path, ..)| path.clone()).collect()
    }
}

#[tokio::test]
async fn given_rings_when_closed_then_what_is_stored_tells_nothing_and_opens_by_the_service_alone() {
    let world = Harness::new().await;
    let encryption = world.by_token();
    let stored = encryption.encrypt(RINGS).await.unwrap();
    assert!(!String::from_utf8_lossy(&stored).contains("signing"));
    assert_eq!(*encryption.decrypt(&stored).await.unwrap(), RINGS);
    assert_eq!(world.seen(), ["team/transit/encrypt/gate", "team/transit/decrypt/gate"]);
    assert!(
        encryption.is_up_to_date(&stored)
            && !encryption.is_up_to_date(RINGS)
            && !KeyEncryption::plain().is_up_to_date(&stored)
    );
    // A token that an agent has renewed.
    std::fs::write(world.file("token"), "another-token").unwrap();
    world.service.lock().token = "another-token".to_owned();
    assert_eq!(*encryption.decrypt(&stored).await.unwrap(), RINGS);
    let without = KeyEncryption::plain().decrypt(&stored).await.err().unwrap();
    assert!(matches!(&without, KeyEncryptionError::Encrypted { key, .. } if key == "gate"), "{without}");
}

#[tokio::test]
async fn given_rings_in_the_clear_when_opened_then_they_are_taken_and_nobody_is_asked() {
    let world = Harness::new().await;
    let migrating = world.by_token().accepting_unencrypted();
    assert_eq!(*migrating.decrypt(RINGS).await.unwrap(), RINGS);
    assert_eq!(*KeyEncryption::plain().decrypt(RINGS).await.unwrap(), RINGS);
    assert_eq!(*KeyEncryption::plain().encrypt(RINGS).await.unwrap(), RINGS);
    assert!(world.seen().is_empty());
}

#[tokio::test]
async fn given_encryption_when_the_stored_rings_are_not_encrypted_then_they_are_refused() {
    let world = Harness::new().await;
    let error = world.by_token().decrypt(RINGS).await.err().unwrap();
    assert!(matches!(error, KeyEncryptionError::Unencrypted), "{error}");
    assert!(error.to_string().contains("--keys-accept-unencrypted"));
}

#[tokio::test]
async fn given_rings_of_another_key_when_decrypted_then_the_stored_document_does_not_choose_the_path() {
    let world = Harness::new().await;
    let stored = world.by_token().encrypt(RINGS).await.unwrap();
    let text = String::from_utf8(stored.to_vec()).unwrap();
    for (from, to) in
        [("team/transit", "mallory/transit"), ("\"gate\"", "\"../../sys/seal\""), ("\"gate\"", "\"other\"")]
    {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let error = world.by_token().decrypt(changed.as_bytes()).await.err().unwrap();
        assert!(matches!(error, KeyEncryptionError::OtherKey { .. }), "{error}");
    }
    assert_eq!(world.seen(), ["team/transit/encrypt/gate"], "the service was not asked");
}

#[tokio::test]
async fn given_another_key_on_the_command_line_when_the_previous_one_is_named_then_it_opens_and_is_closed_anew()
 {
    let world = Harness::new().await;
    let stored = world.by_token().encrypt(RINGS).await.unwrap();
    let login = format!("--transit-token-file {}", world.file("token").display());
    let error = world.encryption("newer", &login).decrypt(&stored).await.err().unwrap().to_string();
    assert!(error.contains("--transit-previous-key team/transit/gate"), "{error}");
    let later = world.encryption("newer", &format!("{login} --transit-previous-key team/transit/gate"));
    assert_eq!(*later.decrypt(&stored).await.unwrap(), RINGS);
    assert!(!later.is_up_to_date(&stored), "so that it is closed anew");
}

#[tokio::test]
async fn given_a_service_account_when_the_service_is_asked_then_it_signs_in_first_and_says_its_namespace() {
    let world = Harness::new().await;
    let encryption = world.encryption(
        "gate",
        &format!(
            "--transit-kubernetes-role gateway --transit-kubernetes-mount cluster --transit-namespace team-a --transit-service-account-token {}",
            world.file("jwt").display()
        ),
    );
    encryption.encrypt(RINGS).await.unwrap();
    let service = world.service.lock();
    let (path, headers, body) = &service.seen[0];
    assert_eq!(
        (path.as_str(), body),
        ("auth/cluster/login", &json!({"role": "gateway", "jwt": "a-service-account"}))
    );
    assert!(!headers.contains_key("x-vault-token"));
    assert!(service.seen.iter().all(|(_, headers, _)| headers["x-vault-namespace"] == "team-a"));
    assert_eq!(service.seen[1].1["x-vault-token"], "by-login");
}

#[tokio::test]
async fn given_a_service_that_refuses_or_speaks_nonsense_when_asked_then_it_fails_with_what_to_look_at_and_without_a_secret()
 {
    let world = Harness::new().await;
    let encryption = world.by_token();
    let stored = encryption.encrypt(RINGS).await.unwrap();
    let cases = [
        (503, json!({"errors": ["Vault is sealed"]}), "Vault is sealed); check that it is unsealed"),
        (403, json!({"errors": ["permission\ndenied"]}), "permissiondenied); check that the policy"),
        (400, json!({"errors": ["cipher: message authentication failed"]}), "encrypted with this key"),
        (404, json!({"errors": []}), "(status 404); check that the transit engine is mounted"),
        (302, json!("elsewhere"), "(status 302)"),
        (200, json!({"data": {}}), "data.plaintext is missing"),
        (200, json!({"data": {"plaintext": "%%%"}}), "is not base64"),
        (200, json!("a page"), "data.plaintext is missing"),
    ];
    for (status, body, expected) in cases {
        world.service.lock().instead = Some((status, body));
        let error = encryption.decrypt(&stored).await.err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains("127.0.0.1"), "{error}");
        assert!(!error.contains("a-token"), "{error}");
    }
    world.service.lock().instead = None;
    std::fs::remove_file(world.file("token")).unwrap();
    assert!(matches!(
        encryption.decrypt(&stored).await.err().unwrap(),
        KeyEncryptionError::Credential { .. }
    ));
}

#[tokio::test]
async fn given_nobody_at_the_address_when_asked_then_it_is_told_as_an_outage() {
    let mut world = Harness::new().await;
    let stored = world.by_token().encrypt(RINGS).await.unwrap();
    let unreachable = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    world.address = format!("http://{unreachable}");
    let error = world.by_token().decrypt(&stored).await.err().unwrap();
    assert!(matches!(error, KeyEncryptionError::Unreachable(_)), "{error}");
}
