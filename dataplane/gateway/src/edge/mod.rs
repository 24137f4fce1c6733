//! The listeners. The public one serves MCP and the pages, the private one only endpoints for operators.
//!
//! ```text
//! accept    one acceptor distributes connections to worker threads    workers.rs, http_connection.rs
//! client    client address behind trusted proxies                     client_address.rs
//! check     Host and Origin, before anything else                     host_and_origin.rs
//! public    /mcp/{slug} -> pipeline; other paths -> pages and OAuth    public_listener.rs, page_error.rs
//! private   health, metrics, routes                                   private_listener.rs, private_server.rs
//! observed  observed catalogs, for a cluster's operator               observed_catalogs.rs
//! ```

mod client_address;
mod host_and_origin;
mod http_connection;
mod observed_catalogs;
mod page_error;
mod private_listener;
mod private_server;
mod public_listener;
mod workers;

pub(crate) use observed_catalogs::{CatalogEndpoint, CatalogEndpointState};
pub(crate) use private_listener::{PrivateListener, Readiness};
pub(crate) use public_listener::PublicListener;
pub(crate) use workers::Workers;
