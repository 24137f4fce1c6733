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
mod jwks;
mod jwks_cache;
mod key_source;
mod replay;
#[cfg(test)]
mod testing;
mod unverified;

use portcullis_clock::Clock;
use portcullis_egress::HttpClients;
use portcullis_store::Store;

use crate::jwks_cache::JwksCache;

pub use claims::Claims;
pub use error::JwtError;
pub use jwks::{JwkSet, JwkSetError, SIGNING_ALGORITHMS};
pub use jwks_cache::JwksEndpoint;
pub use key_source::JwksSource;
pub use replay::ReplayError;
pub use unverified::UnverifiedJwt;

/// Verifies assertions, and lets each count once. One for a process: what fetching keys may cost is counted here.
pub struct JwtVerifier {
    http: HttpClients,
    store: Store,
    clock: Clock,
    jwks_cache: JwksCache,
}

impl JwtVerifier {
    /// A verifier that knows no keys yet.
    #[must_use]
    pub fn new(http: HttpClients, store: Store, clock: Clock) -> Self {
        Self { http, store, clock, jwks_cache: JwksCache::new() }
    }
}
