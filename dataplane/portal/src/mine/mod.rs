//! What somebody has given and connected, and how they take it back.
//!
//! ```text
//! account.rs    how people stand with the origins that they may use    accounts.rs   /connections
//! given.rs      what clients may do in somebody's name                 clients.rs    /clients
//! ```

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod clients;
pub(crate) mod given;
