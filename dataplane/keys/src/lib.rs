//! The gateway's own keys: one ring that signs access tokens, one that seals whatever leaves the process and must come back
//! unread and unchanged (session ids, cookies, stored and published credentials), one that shows who wrote a published object.
//!
//! A ring holds the current key first and older ones after it: new work uses the first, old work opens with any. Envelopes and
//! tokens carry the id of their key.

mod document;
mod mac;
mod sealing;
mod signing;

pub use document::{Keys, KeysError};
pub use mac::{Forged, MacRing, NoMacKey};
pub use sealing::{Purpose, SealError, SealingRing, Unopenable};
pub use signing::{SigningRing, TokenError};
