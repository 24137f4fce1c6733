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
mod key_entry;
mod key_file;
mod keyring;
mod mac;
mod rotation;
mod sealing;
mod signing;
mod weak_keys;

pub use document::{KeyDocument, Ring};
pub use key_file::{KeyFile, KeyFileLock};
pub use keyring::{Keyring, KeyringError};
pub use mac::{InvalidMac, MacRing, NoMacKey};
pub use rotation::{RotationStatus, RotationStep};
pub use sealing::{KEY_PREFIX_LEN, OpenError, Purpose, SealError, SealingRing};
pub use signing::{GatewayTokenError, SigningRing};
