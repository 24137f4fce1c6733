//! What lies in the publication's namespace: nothing is believed that the operator did not write, and what it wrote is read to
//! the end or refused.

#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_clock::Random;
use portcullis_keyring::Keyring;
use portcullis_config_distribution::{DocumentKind, VerifiedDocument, VerifiedDocuments, VerifyError, sign_document};
use serde_json::Value;

static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap());
const KINDS: [DocumentKind; 5] = [DocumentKind::Gateway, DocumentKind::Origin, DocumentKind::Route, DocumentKind::Team, DocumentKind::Credential];

fuzz_target!(|data: &[u8]| {
    let Some((kind, document)) = data.split_first() else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let text = String::from_utf8_lossy(document).into_owned();
    // Somebody else's: any MAC, any hash.
    let forged: BTreeMap<String, String> =
        ["document", "hash", "mac"].map(|name| (name.to_owned(), text.clone())).into();
    assert!(matches!(VerifiedDocument::from_object(&KEYS, kind, "x", &forged), Err(VerifyError::Forged)));
    // The operator's, of another version perhaps.
    let Ok(value) = serde_json::from_slice::<Value>(document) else { return };
    let written = sign_document(&KEYS.mac, kind, "x", &value).unwrap().data();
    for other in KINDS.into_iter().filter(|other| *other != kind) {
        assert!(matches!(VerifiedDocument::from_object(&KEYS, other, "x", &written), Err(VerifyError::Forged)));
    }
    if let Ok(Some(piece)) = VerifiedDocument::from_object(&KEYS, kind, "x", &written) {
        let mut pieces = VerifiedDocuments::default();
        pieces.insert("x", piece);
        assert!(pieces.join().0.is_none() || kind == DocumentKind::Gateway, "a contract without a gateway");
    }
});
