//! Stored form of the key document, and output of its keys: tokens, public keys, MACs, fingerprint.

#![allow(clippy::unwrap_used, reason = "a test")]

use portcullis_clock::Random;
use portcullis_golden::assert_golden;
use portcullis_keyring::{KeyDocument, Keyring, Ring};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

fn document() -> KeyDocument {
    KeyDocument::read(portcullis_golden::key_document().as_bytes()).unwrap()
}

/// The keys are replaced by their digests: the repository shows no key that a gateway accepts.
#[test]
fn the_key_document_keeps_its_form() {
    let mut text = String::from_utf8(document().text().unwrap().to_vec()).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    for entry in ["signing", "sealing", "mac"].iter().flat_map(|ring| written[ring].as_array().unwrap()) {
        let key = entry["key"].as_str().unwrap();
        let digest: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
        text = text.replace(key, &format!("SHA-256 {digest}"));
    }
    assert_golden("keyring/document.json", &text);
}

#[test]
fn tokens_public_keys_macs_and_fingerprint_stay_byte_identical() {
    let document = document();
    let keys = Keyring::from_document(&document).unwrap();
    let claims = json!({"sub": "ana", "aud": "https://mcp.example.com/mcp/read", "exp": 1_800_000_900});
    let token = keys.signing.sign("at+jwt", &claims).unwrap();
    assert_eq!(keys.signing.verify::<Value>("at+jwt", &token).unwrap(), claims);
    let parts = ["ConfigMap", "route-x", "route", "{}"];
    let rings = [Ring::Signing, Ring::Sealing, Ring::Mac].map(Ring::name);
    let made = json!({
        "rings": rings,
        "fingerprint": document.fingerprint(),
        "jwks": keys.signing.jwks(),
        "token": token,
        "mac": keys.mac.mac(&parts).unwrap(),
        "mac of nothing": keys.mac.mac(&[]).unwrap(),
    });
    assert_golden("keyring/signatures.json", &serde_json::to_string_pretty(&made).unwrap());
}

#[test]
fn files_of_the_state_folder_keep_their_names_and_modes() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    Keyring::open_or_create(folder.path(), &Random::system()).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            format!("{mode:o} {}", entry.file_name().display())
        })
        .collect();
    files.sort();
    assert_golden("keyring/folder.txt", &files.join("\n"));
}
