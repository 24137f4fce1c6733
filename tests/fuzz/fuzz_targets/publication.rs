//! What lies in the publication's namespace: nothing is believed that the operator did not write, and what it wrote is read to
//! the end or refused.

#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_ambient::Random;
use portcullis_keys::Keys;
use portcullis_publication::{Kind, Piece, Pieces, Refused, publish};
use serde_json::Value;

static KEYS: LazyLock<Keys> =
    LazyLock::new(|| Keys::from_json(&Keys::generate(&Random::system()).unwrap()).unwrap());
const KINDS: [Kind; 5] = [Kind::Gateway, Kind::Origin, Kind::Route, Kind::Team, Kind::Credential];

fuzz_target!(|data: &[u8]| {
    let Some((kind, document)) = data.split_first() else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let text = String::from_utf8_lossy(document).into_owned();
    // Somebody else's: any MAC, any hash.
    let forged: BTreeMap<String, String> =
        ["document", "hash", "mac"].map(|name| (name.to_owned(), text.clone())).into();
    assert!(matches!(Piece::read(&KEYS, kind, "x", &forged), Err(Refused::Forged)));
    // The operator's, of another version perhaps.
    let Ok(value) = serde_json::from_slice::<Value>(document) else { return };
    let written = publish(&KEYS.mac, kind, "x", &value).unwrap().data();
    for other in KINDS.into_iter().filter(|other| *other != kind) {
        assert!(matches!(Piece::read(&KEYS, other, "x", &written), Err(Refused::Forged)));
    }
    if let Ok(Some(piece)) = Piece::read(&KEYS, kind, "x", &written) {
        let mut pieces = Pieces::default();
        pieces.insert("x", piece);
        assert!(pieces.join().0.is_none() || kind == Kind::Gateway, "a contract without a gateway");
    }
});
