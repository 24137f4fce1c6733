//! The gateway's own keys: one ring that signs access tokens, one that seals whatever leaves the process and must come back
//! unread and unchanged (session ids, cookies, stored and published credentials), one that shows who wrote a published object.
//!
//! ```text
//! keys.json --document--> rings, with the states of their keys --Keys--> signing, sealing, mac: read anew at each use
//!                           ^ rotation: announce, promote, retire, drop
//! ```
//!
//! In a ring the first key is the current one: new work uses it, old work opens with any. Envelopes and tokens carry the id of
//! their key.

mod document;
mod entry;
mod folder;
mod keys;
mod mac;
mod refused;
mod rotation;
mod sealing;
mod signing;

pub use document::{KeyDocument, Ring};
pub use folder::{Held, KeyFolder};
pub use keys::{Keys, KeysError};
pub use mac::{Forged, MacRing, NoMacKey};
pub use rotation::{Standing, Turn};
pub use sealing::{PREFIX, Purpose, SealError, SealingRing, Unopenable};
pub use signing::{SigningRing, TokenError};
