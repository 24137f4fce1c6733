//! Outbound HTTP with one policy: which addresses may be reached, for how long, and how much may come back.
//!
//! Whoever can name a URL (an origin's owner, a client with a metadata document, an authorization server in its metadata) could
//! otherwise make the gateway talk to the cloud's metadata service, to the API server, or to its neighbours in the cluster.
//! There is one way out, [`Egress::connect`]: it resolves the name, checks every address, and dials the very address that it
//! checked (or asks the proxy for it), whatever DNS says next. Redirects are never followed. Pooled connections to origins leave
//! by it, and so does everything else, through [`HttpClient`].
//!
//! *Architecture invariant:* no room makes a client of its own; [`HttpClients`] makes them all.

mod address_policy;
mod cache_control;
mod connector;
mod destination;
mod egress;
mod error;
mod http_client;
mod internal_host;
mod proxy;
mod response;
mod tls;

pub use address_policy::AddressPolicy;
pub use cache_control::cache_lifetime;
pub use destination::Destination;
pub use egress::Egress;
pub use error::EgressError;
pub use http_client::{HttpClient, HttpClients};
pub use internal_host::is_internal_host;
pub use proxy::{Proxies, ProxyError};
pub use response::{HttpResponse, parse_json_object};
pub use tls::tls_config;
