//! The user's own connections and clients, and how to remove them.
//!
//! ```text
//! user_connection.rs   the user's accounts at origins                    connections.rs   /connections
//! grants.rs            what clients may do on the user's behalf          clients.rs       /clients
//! ```

pub(crate) mod clients;
pub(crate) mod connections;
pub(crate) mod grants;
pub(crate) mod user_connection;
