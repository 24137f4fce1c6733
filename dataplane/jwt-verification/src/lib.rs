//! Verifies JWTs that others signed (RFC 7515, RFC 7519): client assertions (RFC 7523) and tokens of identity
//! providers.
//!
//! ```text
//! unverified    parses a JWT as far as needed to select the keys
//! jwks          public keys (RFC 7517), and verification of signatures
//! key_source    where keys are found; fetch and jwks_cache fetch and cache them within limits
//! claims        checks times and audience of a verified JWT
//! replay        accepts each assertion once across all replicas, after everything else was verified
//! ```

mod claims;
mod error;
mod fetch;
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
pub use fetch::{FetchBudget, JwksEndpoint};
pub use jwks::{JwkSet, JwkSetError, SIGNING_ALGORITHMS};
pub use key_source::JwksSource;
pub use replay::{ReplayError, UnusedAssertion};
pub use unverified::UnverifiedJwt;

/// Verifies assertions, and accepts each only once. Create one per process, because it limits the fetching of
/// keys.
pub struct JwtVerifier {
    store: Store,
    clock: Clock,
    jwks_cache: JwksCache,
}

impl JwtVerifier {
    /// Creates a verifier without cached keys.
    #[must_use]
    pub fn new(http: HttpClients, store: Store, clock: Clock) -> Self {
        let jwks_cache = JwksCache::new(http, clock.clone());
        Self { store, clock, jwks_cache }
    }
}
