//! Connecting a user's account at an origin.
//!
//! ```text
//! link.rs              /connect/{origin}?ticket=…      single-use link for one user, shown by an app
//! manage.rs            /connections/{origin}/…         from the portal
//! callback.rs          /connect/{origin}/callback      return from the origin's authorization server
//! client_metadata.rs   /connect/{origin}/client.json   the gateway's client metadata for that server
//! ```

pub(crate) mod callback;
pub(crate) mod client_metadata;
pub(crate) mod link;
pub(crate) mod manage;

pub use link::ConnectLinkError;
