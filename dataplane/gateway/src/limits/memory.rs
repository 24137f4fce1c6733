//! Limits the bytes of requests and buffered responses that are in memory at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Limits in bytes.
#[derive(Clone, Copy)]
pub(crate) struct MemoryLimits {
    /// For all together.
    pub(crate) total: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { total: 64 << 20 }
    }
}

impl MemoryLimits {
    /// For all requests to pages and OAuth endpoints together.
    const fn anonymous(self) -> usize {
        self.total / 4
    }

    /// For the requests of one principal.
    const fn principal(self) -> usize {
        self.total / 2
    }
}

/// A number of bytes and its limit.
#[derive(Default)]
pub(crate) struct Usage(AtomicUsize);

impl Usage {
    fn add(&self, bytes: usize, limit: usize) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= limit;
        if !fits {
            self.0.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn sub(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The bytes in use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RequestMemory {
    limits: MemoryLimits,
    total: Arc<Usage>,
    anonymous: Arc<Usage>,
}

/// The limit is reached. The client should try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryExceeded;

/// Bytes that one request uses. Dropping it returns them.
pub(crate) struct MemoryLease {
    total: (Arc<Usage>, usize),
    own: (Arc<Usage>, usize),
    held: usize,
}

impl RequestMemory {
    pub(crate) fn new(limits: MemoryLimits) -> Self {
        Self { limits, total: Arc::default(), anonymous: Arc::default() }
    }

    /// An empty lease for a request to a page or an OAuth endpoint.
    pub(crate) fn anonymous(&self) -> MemoryLease {
        self.lease(&self.anonymous, self.limits.anonymous())
    }

    /// An empty lease for a request of the principal that `usage` belongs to.
    pub(crate) fn principal(&self, usage: &Arc<Usage>) -> MemoryLease {
        self.lease(usage, self.limits.principal())
    }

    fn lease(&self, own: &Arc<Usage>, limit: usize) -> MemoryLease {
        let total = (Arc::clone(&self.total), self.limits.total);
        MemoryLease { total, own: (Arc::clone(own), limit), held: 0 }
    }

    /// Number of bytes in use.
    pub(crate) fn bytes(&self) -> u64 {
        self.total.bytes() as u64
    }
}

impl MemoryLease {
    /// Adds bytes.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), MemoryExceeded> {
        let (own, own_limit) = &self.own;
        let (total, limit) = &self.total;
        if !own.add(bytes, *own_limit) {
            return Err(MemoryExceeded);
        }
        if !total.add(bytes, *limit) {
            own.sub(bytes);
            return Err(MemoryExceeded);
        }
        self.held += bytes;
        Ok(())
    }

    /// Changes the number of bytes.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), MemoryExceeded> {
        match self.held.checked_sub(bytes) {
            Some(unused) => {
                self.own.0.sub(unused);
                self.total.0.sub(unused);
                self.held = bytes;
                Ok(())
            }
            None => self.grow(bytes - self.held),
        }
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        self.own.0.sub(self.held);
        self.total.0.sub(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_strangers_and_principals_then_each_has_a_limit_and_all_together_have_one() {
        let memory = RequestMemory::new(MemoryLimits { total: 100 });
        let (ana, bob, eve) = (Arc::default(), Arc::default(), Arc::default());
        let mut strangers = [memory.anonymous(), memory.anonymous()];
        assert_eq!(strangers[0].grow(20), Ok(()));
        assert_eq!(strangers[1].grow(6), Err(MemoryExceeded));
        assert_eq!(strangers[1].grow(5), Ok(()));
        let mut of_ana = [memory.principal(&ana), memory.principal(&ana)];
        assert_eq!(of_ana[0].grow(50), Ok(()));
        assert_eq!(of_ana[1].grow(1), Err(MemoryExceeded));
        let mut of_bob = memory.principal(&bob);
        assert_eq!(of_bob.grow(25), Ok(()));
        assert_eq!(memory.principal(&eve).grow(1), Err(MemoryExceeded), "the total");
        assert_eq!(memory.bytes(), 100);
        assert_eq!(of_bob.set(5), Ok(()));
        assert_eq!(memory.principal(&eve).grow(20), Ok(()));
        assert_eq!(memory.bytes(), 80);
        assert_eq!(of_bob.set(26), Err(MemoryExceeded));
        assert_eq!(of_bob.set(25), Ok(()));
        assert_eq!(memory.bytes(), 100);
        drop((strangers, of_ana, of_bob));
        assert_eq!(memory.bytes(), 0);
        assert_eq!([ana.bytes(), bob.bytes(), eve.bytes()], [0, 0, 0]);
    }
}
