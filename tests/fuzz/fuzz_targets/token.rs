//! Access tokens: nothing that a stranger sends verifies, and of a token that we signed one spelling alone.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_clock::Random;
use portcullis_keyring::Keyring;
use serde_json::{Value, json};

static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap());
static TOKEN: LazyLock<String> =
    LazyLock::new(|| KEYS.signing.sign("at+jwt", &json!({"sub": "ana", "exp": 1})).unwrap());

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(KEYS.signing.verify::<Value>("at+jwt", text).is_err());
    }
    // Bytes of a good token replaced: position, byte, position, byte…
    let mut changed = TOKEN.clone().into_bytes();
    for pair in data.chunks_exact(2) {
        let place = usize::from(pair[0]) % changed.len();
        changed[place] = pair[1];
    }
    if let Ok(changed) = std::str::from_utf8(&changed) {
        assert_eq!(KEYS.signing.verify::<Value>("at+jwt", changed).is_ok(), changed == *TOKEN);
    }
    assert!(KEYS.signing.verify::<Value>("JWT", &TOKEN).is_err());
});
