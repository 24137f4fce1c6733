//! Outbound HTTP with one policy for permitted addresses, timeouts and response sizes.
//!
//! Several parties choose URLs that the gateway requests: the owner of an origin, a client with a metadata
//! document, an authorization server in its metadata. Without a policy they could make the gateway call the
//! cloud's metadata service, the API server, or other workloads in the cluster (SSRF).
//!
//! All connections are opened by [`Egress::connect`]. It resolves the name, checks every address, and dials
//! exactly the address that it checked (or requests it from the proxy), so a later DNS answer has no effect.
//! Redirects are never followed. Pooled connections to origins use it directly; all other requests use it
//! through [`HttpClient`].
//!
//! *Architecture invariant:* no other crate creates an HTTP client; [`HttpClients`] creates them all.

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
mod response_stream;
mod tls;

pub use address_policy::AddressPolicy;
pub use cache_control::cache_lifetime;
pub use destination::Destination;
pub use egress::Egress;
pub use error::{CaBundleError, EgressError, HttpClientError, RequestFailure, error_chain};
pub use http_client::{HttpClient, HttpClients};
pub use internal_host::is_internal_host;
pub use proxy::{Proxies, ProxyError};
pub use response::{HttpResponse, parse_json_object};
pub use response_stream::ResponseStream;
pub use tls::tls_config;
