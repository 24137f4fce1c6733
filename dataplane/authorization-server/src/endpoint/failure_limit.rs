//! Limits failed requests to the token and revocation endpoints. Requests that succeed prove a valid credential
//! and are limited per grant or principal instead, so many clients behind one address do not block each other.

use portcullis_clock::Clock;
use portcullis_rate_limit::RateLimit;

/// Failed requests per client address: burst, and rate per second.
const FAILURE_LIMIT: (u32, u32) = (120, 10);
/// The same for all addresses together.
const TOTAL_FAILURE_LIMIT: (u32, u32) = (1_200, 100);

/// Counts failed requests of both endpoints.
pub(super) struct FailureLimit {
    clock: Clock,
    limit: RateLimit,
}

impl FailureLimit {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, limit: RateLimit::new(FAILURE_LIMIT, TOTAL_FAILURE_LIMIT) }
    }

    /// Whether the client may send another request.
    pub(super) fn allows(&self) -> bool {
        self.limit.has_room(self.clock.now())
    }

    /// Counts a request that failed, or did nothing.
    pub(super) fn count(&self) {
        self.limit.take(self.clock.now());
    }
}
