//! Limits for unauthenticated clients: rates per client address and in total, requests to other servers that
//! they cause; and the address of the client that a task serves.

mod client_address;
mod fetch_pool;
mod keyed_slots;
mod rate_limit;
mod single_flight;

pub use client_address::{client_address, client_network, client_site, network_of, with_client_address};
pub use fetch_pool::{FetchLimits, FetchPermit, FetchPool, FetchPoolBusy};
pub use rate_limit::{KeyedRateLimit, RateLimit};
pub use single_flight::SingleFlight;
