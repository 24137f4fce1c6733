//! Connections to origins: guarded when they are made, kept for the next request, one pool for each worker thread so that a
//! call never waits for another thread.

mod connect;
mod pool;

pub(crate) use pool::{ConnectionLease, OriginResponse, SendError, UpstreamPool};
