//! The listeners. The public one serves MCP and the pages, and nothing that is meant for operators; the private one the reverse.
//!
//! ```text
//! accept    one acceptor hands connections to worker threads in turn      workers.rs
//! client    whose request it is, where proxies stand between             client.rs
//! gate      Host and Origin, before anything else                         gate.rs
//! public    /mcp/{slug} -> pipeline; all else -> pages and OAuth           public.rs
//! private   health, metrics, routes                                       private.rs
//! observed  for a cluster's operator: what users were shown of origins     observed.rs
//! ```

mod client;
mod gate;
mod observed;
mod private;
mod public;
mod workers;

pub(crate) use observed::{Testimony, Witness};
pub(crate) use private::{Private, Readiness};
pub(crate) use public::Public;
pub(crate) use workers::Workers;
