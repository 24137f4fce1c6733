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

mod client_address;
mod host_and_origin;
mod observed_catalogs;
mod private_listener;
mod public_listener;
mod workers;

pub(crate) use observed_catalogs::{CatalogEndpoint, CatalogEndpointState};
pub(crate) use private_listener::{PrivateListener, Readiness};
pub(crate) use public_listener::PublicListener;
pub(crate) use workers::Workers;
