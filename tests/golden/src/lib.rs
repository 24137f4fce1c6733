//! Golden files: the exact form of everything that leaves a process, in `tests/golden/files`.
//!
//! Other versions, other replicas, databases, clients and dashboards read these bytes. A change here is a change of an interface: it needs
//! a reason of its own, a note in CHANGELOG.md and a reader that still accepts the old form.
//!
//! `UPDATE_GOLDEN=1 cargo test` writes the files anew.

pub mod config;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Ids and keys (hexadecimal) of the key rings behind the golden files. The programs refuse keys that the repository contains in the form
/// of a key document; tests build that form from these.
const KEYS: [(&str, &str); 7] = [
    ("c2lnMQ", "ca6b76729c1eae7bcf14d698c49974232f6478484706613bac269017b4b14266"),
    ("c2lnMg", "689789a8c291f8be5b998aec86e94e0b08936d4005971e63b4eb206bfc6e9e8b"),
    ("c2VhMQ", "6a9592deed6f2a028c24c8a081bbb94de30c5a7f5197d182431ddff5439443d1"),
    ("c2VhMg", "ac66fe1fa815f53b09c512e2afde0b1fa32c33bbc3231d2e58980bdfca2e6ace"),
    ("c2VhMw", "d8dad692b1d9109659bc0131aaffcf02bba210a2f67f86aca8e5acfb80d12666"),
    ("bWFjMQ", "1f0efc62c80760e53a5f7cd9a1c7aff105f84b2bf414a102d177ee7b776f0dc8"),
    ("bWFjMg", "a6da491d8439252e101aa94cd34a97bbe19353019dc6d75aa25f6e3ff6ea86ff"),
];

/// Compares a text with a golden file, given by its path below `tests/golden/files`.
///
/// # Panics
/// When they differ, or the file is missing or cannot be written.
#[allow(clippy::panic, reason = "it is an assertion")]
pub fn assert_golden(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("files").join(file);
    let actual = format!("{}\n", actual.trim_end_matches('\n'));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, actual));
        return written.unwrap_or_else(|error| panic!("failed to write {}: {error}", path.display()));
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
    assert!(expected == actual, "{} has changed. Expected:\n{expected}\nActual:\n{actual}", path.display());
}

/// The key document of the golden files: keys that are current, announced, replaced and retired.
///
/// # Panics
/// When a constant of this file is not hexadecimal.
#[must_use]
pub fn key_document() -> String {
    let [s1, s2, e1, e2, e3, m1, m2] = KEYS.map(|(id, hex)| format!(r#""id":"{id}","key":"{}""#, key(hex)));
    let at = 1_800_000_000_000_i64;
    format!(
        r#"{{"signing":[{{{s1}}},{{{s2},"announcedAt":{at}}}],"sealing":[{{{e1}}},{{{e2}}},{{{e3},"retiredAt":{at}}}],"mac":[{{{m1}}},{{{m2},"retiredAt":{at}}}],"honoured":"2027-01",
        "installation":{{"id":"aW5zdGFsbGF0aW9uLWlkMQ","serialsRequired":true}}}}"#
    )
}

/// A key document with one key per ring. The keys are derived, because the repository must not contain usable keys.
#[must_use]
pub fn derived_key_document() -> String {
    let ring =
        |id: &str| format!(r#"[{{"id":"{id}","key":"{}"}}]"#, URL_SAFE_NO_PAD.encode(Sha256::digest(id)));
    let (signing, sealing, mac) = (ring("c2lnbg"), ring("c2VhbA"), ring("bWFjMQ"));
    format!(r#"{{"signing":{signing},"sealing":{sealing},"mac":{mac}}}"#)
}

/// A key as a key document writes it: base64url.
#[allow(clippy::expect_used, reason = "a constant of this file")]
fn key(hex: &str) -> String {
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    URL_SAFE_NO_PAD.encode(bytes.collect::<Option<Vec<u8>>>().expect("hexadecimal"))
}
