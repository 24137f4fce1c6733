//! Connections to origins. The egress rules apply when they are opened. Each worker thread has its own pool,
//! so a call never waits for another thread.

mod connect;
mod pool;

pub(crate) use pool::{ConnectionLease, OriginResponse, SendError, UpstreamPool};
