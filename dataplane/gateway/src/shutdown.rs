//! The phases of a graceful shutdown: readiness is withdrawn, then open-ended streams are closed, then the
//! process ends. Requests in progress continue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const SERVING: u8 = 0;
const TERMINATING: u8 = 1;
const DRAINING: u8 = 2;

/// The current shutdown phase. Cheap to clone and to read.
#[derive(Clone, Default)]
pub(crate) struct Shutdown(Arc<AtomicU8>);

impl Shutdown {
    /// Withdraws readiness. Requests that still arrive are served, and their connections close after the
    /// response.
    pub(crate) fn start_termination(&self) {
        self.0.fetch_max(TERMINATING, Ordering::Relaxed);
    }

    /// No new connections are accepted. Open-ended streams close; clients reopen them at another replica.
    pub(crate) fn start_drain(&self) {
        self.0.fetch_max(DRAINING, Ordering::Relaxed);
    }

    /// Whether [`start_termination`](Self::start_termination) or [`start_drain`](Self::start_drain) was
    /// called.
    pub(crate) fn is_terminating(&self) -> bool {
        self.0.load(Ordering::Relaxed) != SERVING
    }

    /// Whether [`start_drain`](Self::start_drain) was called.
    pub(crate) fn is_draining(&self) -> bool {
        self.0.load(Ordering::Relaxed) == DRAINING
    }
}
