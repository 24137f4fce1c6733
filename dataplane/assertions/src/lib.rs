//! What others have signed (RFC 7515, RFC 7519): what a client shows to be itself (RFC 7523), and what an identity provider says of a
//! person.
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
#[cfg(test)]
mod testing;
mod unverified;

use portcullis_ambient::Clock;
use portcullis_outbound::Clients;
use portcullis_store::Store;

use crate::remote::RemoteKeys;

pub use claims::Claims;
pub use error::AssertionError;
pub use keys::{ALGORITHMS, KeySet, KeySetError};
pub use once::OnceError;
pub use remote::Place;
pub use source::KeySource;
pub use unverified::Unverified;

/// Verifies assertions, and lets each count once. One for a process: what fetching keys may cost is counted here.
pub struct Verifier {
    http: Clients,
    store: Store,
    clock: Clock,
    remote: RemoteKeys,
}

impl Verifier {
    /// A verifier that knows no keys yet.
    #[must_use]
    pub fn new(http: Clients, store: Store, clock: Clock) -> Self {
        Self { http, store, clock, remote: RemoteKeys::new() }
    }
}
