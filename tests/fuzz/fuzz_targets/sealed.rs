//! Envelopes: what was sealed opens to itself, for the same purpose and place alone, and not once a bit of it is another.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_clock::Random;
use portcullis_keyring::{Keyring, Purpose};

static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::from_json(&Keyring::generate(&Random::system()).unwrap()).unwrap());

fuzz_target!(|data: &[u8]| {
    let ring = &KEYS.sealing;
    // Whatever a stranger sends.
    assert!(ring.open(Purpose::McpSession, &["a", "b"], data).is_err());
    let [bit_high, bit_low, cut, text @ ..] = data else { return };
    let envelope = ring.seal(&Random::system(), Purpose::McpSession, &["a", "b"], text).unwrap();
    assert_eq!(*ring.open(Purpose::McpSession, &["a", "b"], &envelope).unwrap(), text);
    for (purpose, place) in
        [(Purpose::Browser, ["a", "b"]), (Purpose::McpSession, ["a", "c"]), (Purpose::McpSession, ["ab", ""])]
    {
        assert!(ring.open(purpose, &place, &envelope).is_err());
    }
    assert!(ring.open(Purpose::McpSession, &["a"], &envelope).is_err());
    let bit = usize::from(u16::from_be_bytes([*bit_high, *bit_low])) % (envelope.len() * 8);
    let mut changed = envelope.clone();
    changed[bit / 8] ^= 1 << (bit % 8);
    assert!(ring.open(Purpose::McpSession, &["a", "b"], &changed).is_err());
    let cut = usize::from(*cut) % envelope.len();
    assert!(ring.open(Purpose::McpSession, &["a", "b"], &envelope[..cut]).is_err());
    assert!(KEYS.mac.verify(&["a"], &String::from_utf8_lossy(text)).is_err());
});
