//! Signed assertions (RFC 7521, RFC 7523): what a client shows to be itself, and what an identity provider says of a person.
//!
//! ```text
//! unverified    read as far as is needed to know whose keys to take
//! keys          public keys (RFC 7517) and what they have signed
//! source        where keys are found; fetched and remembered within bounds: remote
//! claims        times and audience of what was verified
//! once          each counts once, at whichever replica
//! ```

mod claims;
mod error;
mod keys;
mod once;
mod remote;
mod source;
mod unverified;

pub(crate) use claims::Claims;
pub(crate) use error::AssertionError;
pub(crate) use keys::{ALGORITHMS, KeySet, KeySetError};
pub(crate) use once::OnceError;
pub(crate) use remote::{Place, RemoteKeys};
pub(crate) use source::KeySource;
pub(crate) use unverified::Unverified;
