//! Envelopes of every purpose with a fixed key and nonce. Databases, cookies and published objects contain
//! them.

use portcullis_golden::assert_golden;
use serde_json::{Map, Value, json};

use super::*;

const NONCE_BYTES: [u8; NONCE_LEN] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
const BOUND_TO: [&str; 3] = ["ana", "linear", "ü"];
const TEXT: &[u8] = b"a text of some length";

fn ring() -> SealingRing {
    let keys = [("BBBBBA", 2), ("CCCCCA", 3), ("AAAAAA", 1)];
    let mut keys = keys.map(|(id, byte)| DecodedKey::testing(id, byte));
    keys[1].announced = true;
    SealingRing::new(keys.into()).unwrap()
}

/// Output of `seal` for a given nonce: header, nonce, and the ciphertext under the first key.
fn seal(ring: &SealingRing, purpose: Purpose) -> Vec<u8> {
    let sealed = ring.seal(&Random::system(), purpose, &BOUND_TO, TEXT).unwrap();
    let keys = ring.keys.load();
    let payload = Payload { msg: TEXT, aad: &associated_data(&BOUND_TO) };
    let text = keys[0].ciphers[purpose as usize].encrypt(&Nonce::from(NONCE_BYTES), payload).unwrap();
    let envelope = [&sealed[..1 + KEY_ID_LEN], &NONCE_BYTES, &text].concat();
    assert_eq!(envelope.len(), sealed.len());
    assert_eq!(*ring.open(purpose, &BOUND_TO, &envelope).unwrap(), TEXT);
    assert_eq!(*ring.open(purpose, &BOUND_TO, &sealed).unwrap(), TEXT);
    envelope
}

#[test]
fn envelopes_of_every_purpose_stay_byte_identical() {
    let ring = ring();
    let envelopes: Map<String, Value> = Purpose::ALL
        .into_iter()
        .map(|purpose| {
            let label = String::from_utf8(purpose.label().to_vec()).unwrap();
            (label, URL_SAFE_NO_PAD.encode(seal(&ring, purpose)).into())
        })
        .collect();
    let envelopes = json!({
        "envelopes by key derivation label": envelopes,
        "bound to": BOUND_TO,
        "associated data": URL_SAFE_NO_PAD.encode(associated_data(&BOUND_TO)),
        "current key": ring.current_key_id(),
        "prefixes of replaced keys": ring.replaced_key_prefixes(),
        "prefix length": KEY_PREFIX_LEN,
    });
    assert_golden("keyring/envelopes.json", &serde_json::to_string_pretty(&envelopes).unwrap());
}
