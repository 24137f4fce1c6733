//! Rate limits for unauthenticated clients, per client address and in total; and the address of the client
//! that a task serves.

mod client_address;
mod rate_limit;

pub use client_address::{client_address, client_network, with_client_address};
pub use rate_limit::RateLimit;
