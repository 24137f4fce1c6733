//! Objects in the publication's namespace: those that the operator did not write are rejected, and those that it wrote are
//! served or rejected.

#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_clock::Random;
use portcullis_keyring::Keyring;
use portcullis_config_distribution::{DocumentKind, Stamp, VerifiedDocument, VerifyError, sign_stamped};
use portcullis_policy::RouteTableBuilder;
use serde_json::Value;

static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap());
const KINDS: [DocumentKind; 5] = [DocumentKind::Gateway, DocumentKind::Origin, DocumentKind::Route, DocumentKind::Team, DocumentKind::Credential];

fuzz_target!(|data: &[u8]| {
    let Some((kind, document)) = data.split_first() else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let text = String::from_utf8_lossy(document).into_owned();
    // An object of another author: any MAC, any hash.
    let forged: BTreeMap<String, String> =
        ["document", "hash", "mac"].map(|name| (name.to_owned(), text.clone())).into();
    assert!(matches!(VerifiedDocument::from_object(&KEYS, kind, "x", &forged), Err(VerifyError::Forged)));
    // An object of the operator, possibly of another version.
    let Ok(value) = serde_json::from_slice::<Value>(document) else { return };
    let stamp = Stamp { installation: KEYS.installation().unwrap().id.clone(), serial: 1 };
    let written = sign_stamped(&KEYS.mac, kind, "x", &stamp, &value.to_string()).unwrap().data();
    for other in KINDS.into_iter().filter(|other| *other != kind) {
        assert!(matches!(VerifiedDocument::from_object(&KEYS, other, "x", &written), Err(VerifyError::Forged)));
    }
    let Ok(Some((_, document))) = VerifiedDocument::from_object(&KEYS, kind, "x", &written) else { return };
    let mut builder = RouteTableBuilder::default();
    match document {
        VerifiedDocument::Gateway(document) => builder.put_gateway(document),
        VerifiedDocument::Origin(document) => builder.put_origin(document),
        VerifiedDocument::Route(document) => builder.put_route(document),
        VerifiedDocument::Team(document) => builder.put_team(&document),
        VerifiedDocument::Credential(key, value) => builder.put_credential(key, value),
    }
    let (table, _) = builder.table(1);
    assert!(table.is_none() || kind == DocumentKind::Gateway, "a route table without a gateway");
});
