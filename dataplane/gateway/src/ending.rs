//! How a process takes its leave: first no new traffic is asked for, then streams without an end of their own end, then it is
//! over. What is under way goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const SERVING: u8 = 0;
const LEAVING: u8 = 1;
const CLOSING: u8 = 2;

/// How far the process is on its way out. Cheap to clone and to ask.
#[derive(Clone, Default)]
pub(crate) struct Ending(Arc<AtomicU8>);

impl Ending {
    /// Others shall send no more traffic here; who still does is served, and their connections close after the answer.
    pub(crate) fn leave(&self) {
        self.0.fetch_max(LEAVING, Ordering::Relaxed);
    }

    /// Nobody new comes any more: who only listens shall listen elsewhere.
    pub(crate) fn close(&self) {
        self.0.fetch_max(CLOSING, Ordering::Relaxed);
    }

    /// Whether [`leave`](Self::leave) or [`close`](Self::close) was said.
    pub(crate) fn is_leaving(&self) -> bool {
        self.0.load(Ordering::Relaxed) != SERVING
    }

    /// Whether [`close`](Self::close) was said.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.load(Ordering::Relaxed) == CLOSING
    }
}
