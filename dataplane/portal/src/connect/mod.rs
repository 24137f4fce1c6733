//! Connecting a person's account at an origin.
//!
//! ```text
//! link.rs       /connect/{origin}?ticket=…      a link that a client showed: for one person, once
//! manage.rs     /connections/{origin}/…         from the portal
//! callback.rs   /connect/{origin}/callback      the origin's authorization server has answered
//! document.rs   /connect/{origin}/client.json   who the gateway is, for that server
//! ```

pub(crate) mod callback;
pub(crate) mod client_metadata;
pub(crate) mod link;
pub(crate) mod manage;

pub use link::ConnectLinkError;
