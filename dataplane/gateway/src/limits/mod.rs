//! Limits on what clients can use: connections, bytes of requests, requests at the same time, streams. What is
//! beyond a limit is refused at once, and the rest continues to be served.
//!
//! ```text
//! connections     connections in total and per address             connections.rs
//! memory          bytes of requests and responses in memory        memory.rs
//! principals      requests and streams of each principal           principals.rs
//! request bodies  deadline and minimum rate of a body              request_body.rs, page_body.rs
//! writes          deadline for a client that does not read         write_timeout.rs
//! ```

mod connections;
mod memory;
mod page_body;
mod principals;
mod request_body;
mod write_timeout;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use connections::{ConnectionGuard, ConnectionLimits, ConnectionTable};
pub(crate) use memory::{MemoryLease, MemoryLimits, RequestMemory, Usage};
pub(crate) use page_body::PageBody;
pub(crate) use principals::{PrincipalLimits, Principals, RequestPermit, TooMany};
pub(crate) use request_body::{BodyError, WholeBody, buffer, read_whole};
pub(crate) use write_timeout::WriteTimeout;

/// The limits of the public listener. One per process.
pub(crate) struct Limits {
    pub(crate) connections: Arc<ConnectionTable>,
    pub(crate) memory: RequestMemory,
    pub(crate) principals: Principals,
    refused: AtomicU64,
}

/// Settings of [`Limits`].
#[derive(Clone, Copy, Default)]
pub(crate) struct LimitSettings {
    pub(crate) connections: ConnectionLimits,
    pub(crate) memory: MemoryLimits,
    pub(crate) principals: PrincipalLimits,
}

impl Limits {
    pub(crate) fn new(settings: LimitSettings) -> Self {
        Self {
            connections: Arc::new(ConnectionTable::new(settings.connections)),
            memory: RequestMemory::new(settings.memory),
            principals: Principals::new(settings.principals),
            refused: AtomicU64::new(0),
        }
    }

    /// Counts a request that was refused because of a limit, for the metrics.
    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of requests refused because of a limit.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
