//! What somebody has given and connected, and how they take it back.
//!
//! ```text
//! account.rs    how people stand with the origins that they may use    accounts.rs   /connections
//! given.rs      what clients may do in somebody's name                 clients.rs    /clients
//! ```

pub(crate) mod clients;
pub(crate) mod connections;
pub(crate) mod grants;
pub(crate) mod user_connection;
