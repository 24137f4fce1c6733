//! Stored form of the key document, and output of its keys: tokens, public keys, MACs, fingerprint.

#![allow(clippy::unwrap_used, reason = "a test")]

use portcullis_clock::Random;
use portcullis_golden::assert_golden;
use portcullis_keyring::{KeyDocument, Keyring, Ring};
use serde_json::{Value, json};

/// Keys in every state: current, announced, replaced, retired.
fn document() -> KeyDocument {
    let document = json!({
        "signing": [
            {"id": "c2lnMQ", "key": "ymt2cpwernvPFNaYxJl0Iy9keEhHBmE7rCaQF7SxQmY"},
            {"id": "c2lnMg", "key": "aJeJqMKR-L5bmYrshulOCwiTbUAFlx5jtOsga_xunos", "announcedAt": 1_800_000_000_000_i64},
        ],
        "sealing": [
            {"id": "c2VhMQ", "key": "apWS3u1vKgKMJMiggbu5TeMMWn9Rl9GCQx3f9UOUQ9E"},
            {"id": "c2VhMg", "key": "rGb-H6gV9TsJxRLir94LH6MsM7vDIx0uWJgL38ouas4"},
            {"id": "c2VhMw", "key": "2NrWkrHZEJZZvAExqv_PAruiEKL2f4asqOWs-4DRJmY", "retiredAt": 1_800_000_000_000_i64},
        ],
        "mac": [
            {"id": "bWFjMQ", "key": "Hw78YsgHYOU6X3zZocev8QX4Syv0FKEC0Xfue3dvDcg"},
            {"id": "bWFjMg", "key": "ptpJHYQ5JS4QGqlM00qXu-GTUwGdxtdaol9uP_bqhv8", "retiredAt": 1_800_000_000_000_i64},
        ],
        "honoured": "2027-01",
    });
    KeyDocument::read(document.to_string().as_bytes()).unwrap()
}

/// Golden tests of other crates read their keys from this file.
#[test]
fn the_key_document_keeps_its_form() {
    let text = document().text().unwrap();
    assert_golden("keyring/document.json", std::str::from_utf8(&text).unwrap());
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
