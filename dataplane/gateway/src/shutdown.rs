//! How a process takes its leave: first no new traffic is asked for, then streams without an end of their own end, then it is
//! over. What is under way goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const SERVING: u8 = 0;
const TERMINATING: u8 = 1;
const DRAINING: u8 = 2;

/// How far the process is on its way out. Cheap to clone and to ask.
#[derive(Clone, Default)]
pub(crate) struct Shutdown(Arc<AtomicU8>);

impl Shutdown {
    /// Others shall send no more traffic here; who still does is served, and their connections close after the answer.
    pub(crate) fn start_termination(&self) {
        self.0.fetch_max(TERMINATING, Ordering::Relaxed);
    }

    /// Nobody new comes any more: who only listens shall listen elsewhere.
    pub(crate) fn start_drain(&self) {
        self.0.fetch_max(DRAINING, Ordering::Relaxed);
    }

    /// Whether [`leave`](Self::leave) or [`close`](Self::close) was said.
    pub(crate) fn is_terminating(&self) -> bool {
        self.0.load(Ordering::Relaxed) != SERVING
    }

    /// Whether [`close`](Self::close) was said.
    pub(crate) fn is_draining(&self) -> bool {
        self.0.load(Ordering::Relaxed) == DRAINING
    }
}
