//! Connections to origins. The egress rules apply when they are opened. Each worker thread has its own pool,
//! so a call never waits for another thread.

mod connect;
mod pool;

#[cfg(test)]
pub(crate) use pool::OriginUrlError;
pub(crate) use pool::{ConnectionLease, OriginResponse, SendError, UpstreamPool};
