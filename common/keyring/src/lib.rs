//! The gateway's own keys. One ring signs access tokens. One seals values that leave the process and must
//! come back secret and unchanged: session ids, cookies, stored and published credentials. One authenticates
//! published objects.
//!
//! ```text
//! keys.json --KeyDocument--> rings, with the state of each key --Keyring--> signing, sealing, mac
//!                               ^ rotation: announce, promote, retire, drop
//! ```
//!
//! The first key of a ring is the current one. New data is created with it; existing data is read with any
//! key of the ring. Envelopes and tokens contain the id of their key.
//!
//! Secrets that are only compared are stored as a [`digest`]. [`replace_file`] writes files of secrets.

mod digest;
mod document;
mod document_error;
mod installation;
mod key_entry;
mod key_file;
mod keyring;
mod mac;
mod replace_file;
mod rotation;
mod sealing;
mod signing;
mod weak_keys;

pub use digest::digest;
pub use document::{KeyDocument, Ring};
pub use document_error::KeyDocumentError;
pub use installation::Installation;
pub use key_file::{KeyFile, KeyFileLock};
pub use keyring::{Keyring, KeyringError};
pub use mac::{InvalidMac, MacRing, NoMacKey};
pub use replace_file::replace_file;
pub use rotation::{RotationStatus, RotationStep};
pub use sealing::{KEY_PREFIX_LEN, OpenError, Purpose, SealError, SealingRing};
pub use signing::{GatewayTokenError, SigningRing};
