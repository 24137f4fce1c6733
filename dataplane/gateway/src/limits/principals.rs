//! Limits the requests and streams that each principal has open at the same time, and all streams together.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use portcullis_policy::PrincipalId;

use super::memory::Usage;

/// Number of independently locked parts, so worker threads rarely wait for each other.
const SHARDS: usize = 16;

/// Limits of each principal, and of all streams.
#[derive(Clone, Copy)]
pub(crate) struct PrincipalLimits {
    /// Maximum number of requests in progress per principal.
    pub(crate) requests: usize,
    /// Maximum number of open-ended streams per principal.
    pub(crate) streams: usize,
    /// Maximum number of open-ended streams.
    pub(crate) all_streams: usize,
}

impl Default for PrincipalLimits {
    fn default() -> Self {
        Self { requests: 512, streams: 512, all_streams: 7_500 }
    }
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// Requests of the principal.
    Requests,
    /// Streams of the principal.
    Streams,
    /// Streams of all principals.
    AllStreams,
}

/// What each principal has open.
pub(crate) struct Principals {
    limits: PrincipalLimits,
    hasher: RandomState,
    shards: [Shard; SHARDS],
    streams: Arc<AtomicUsize>,
}

type Shard = Arc<Mutex<HashMap<PrincipalId, Arc<Load>>>>;

#[derive(Default)]
struct Load {
    requests: AtomicUsize,
    streams: AtomicUsize,
    memory: Arc<Usage>,
}

/// A request in progress, or an open stream. Dropping it ends it.
pub(crate) struct RequestPermit {
    limits: PrincipalLimits,
    shard: Shard,
    principal: PrincipalId,
    load: Arc<Load>,
    all_streams: Arc<AtomicUsize>,
    is_stream: bool,
}

impl Principals {
    pub(crate) fn new(limits: PrincipalLimits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Shard::default()),
            streams: Arc::default(),
        }
    }

    /// Begins a request of a principal.
    pub(crate) fn begin(&self, principal: &PrincipalId) -> Result<RequestPermit, TooMany> {
        let index = self.hasher.hash_one(principal) as usize % SHARDS;
        let Some(shard) = self.shards.get(index) else { return Err(TooMany::Requests) };
        let mut loads = shard.lock();
        let load = match loads.get(principal) {
            Some(load) => load,
            None => &*loads.entry(principal.clone()).or_default(),
        };
        if !increment(&load.requests, self.limits.requests) {
            return Err(TooMany::Requests);
        }
        Ok(RequestPermit {
            limits: self.limits,
            shard: Arc::clone(shard),
            principal: principal.clone(),
            load: Arc::clone(load),
            all_streams: Arc::clone(&self.streams),
            is_stream: false,
        })
    }

    /// Number of open-ended streams.
    pub(crate) fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed) as u64
    }
}

impl RequestPermit {
    /// The bytes that the principal uses.
    pub(crate) fn memory(&self) -> &Arc<Usage> {
        &self.load.memory
    }

    /// The request is an open-ended stream: it no longer counts as a request.
    pub(crate) fn become_stream(&mut self) -> Result<(), TooMany> {
        if self.is_stream {
            return Ok(());
        }
        if !increment(&self.load.streams, self.limits.streams) {
            return Err(TooMany::Streams);
        }
        if !increment(&self.all_streams, self.limits.all_streams) {
            self.load.streams.fetch_sub(1, Ordering::Relaxed);
            return Err(TooMany::AllStreams);
        }
        self.load.requests.fetch_sub(1, Ordering::Relaxed);
        self.is_stream = true;
        Ok(())
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut loads = self.shard.lock();
        if self.is_stream {
            self.load.streams.fetch_sub(1, Ordering::Relaxed);
            self.all_streams.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.load.requests.fetch_sub(1, Ordering::Relaxed);
        }
        // The map and this permit: no other request of the principal is in progress.
        if Arc::strong_count(&self.load) == 2 {
            loads.remove(&self.principal);
        }
    }
}

fn increment(number: &AtomicUsize, limit: usize) -> bool {
    let fits = number.fetch_add(1, Ordering::Relaxed) < limit;
    if !fits {
        number.fetch_sub(1, Ordering::Relaxed);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principals() -> Principals {
        Principals::new(PrincipalLimits { requests: 2, streams: 2, all_streams: 3 })
    }

    fn person(name: &str) -> PrincipalId {
        PrincipalId::of("company", name)
    }

    #[test]
    fn given_a_principal_at_the_limit_then_others_continue_and_an_ended_request_frees_its_place() {
        let principals = principals();
        let (ana, bob) = (person("ana"), person("bob"));
        let first = principals.begin(&ana).unwrap();
        let _second = principals.begin(&ana).unwrap();
        assert_eq!(principals.begin(&ana).err(), Some(TooMany::Requests));
        assert!(principals.begin(&bob).is_ok());
        drop(first);
        assert!(principals.begin(&ana).is_ok());
    }

    #[test]
    fn given_streams_then_they_have_limits_of_their_own() {
        let principals = principals();
        let open = |name: &str| {
            let mut permit = principals.begin(&person(name)).unwrap();
            permit.become_stream().map(|()| permit)
        };
        let streams = [open("ana").unwrap(), open("ana").unwrap()];
        assert_eq!(open("ana").err(), Some(TooMany::Streams));
        let requests = [principals.begin(&person("ana")).unwrap(), principals.begin(&person("ana")).unwrap()];
        let other = open("bob").unwrap();
        assert_eq!(open("eve").err(), Some(TooMany::AllStreams));
        assert_eq!(principals.streams(), 3);
        drop((streams, requests, other));
        assert_eq!(principals.streams(), 0);
        assert!(open("eve").is_ok());
    }

    #[test]
    fn given_no_request_in_progress_then_nothing_is_kept() {
        let principals = principals();
        let permits: Vec<_> =
            (0..100).map(|number| principals.begin(&person(&number.to_string())).unwrap()).collect();
        drop(permits);
        assert!(principals.begin(&person("1")).is_ok());
        assert!(principals.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
