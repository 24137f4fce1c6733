//! State shared by all parts of the demo origin.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_clock::{Clock, Random};

use crate::accounts::Accounts;
use crate::authorization::token_store::TokenStore;

/// The only scope of the notebook.
pub(crate) const SCOPE: &str = "notes";

/// Addresses, accounts, and the state of the authorization server.
pub(crate) struct AppState {
    /// `127.0.0.1:PORT`: the only accepted `Host`.
    pub(crate) authority: String,
    /// The authorization server's identifier: `http://127.0.0.1:PORT`.
    pub(crate) issuer: String,
    /// The MCP endpoint: `http://127.0.0.1:PORT/mcp`.
    pub(crate) resource: String,
    /// The demo accounts and their notes.
    pub(crate) accounts: Arc<Accounts>,
    /// Clients, codes and tokens.
    pub(crate) store: TokenStore,
}

impl AppState {
    pub(crate) fn new(address: SocketAddr, clock: Clock, random: Random) -> Self {
        Self {
            authority: address.to_string(),
            issuer: format!("http://{address}"),
            resource: format!("http://{address}/mcp"),
            accounts: Arc::new(Accounts::new()),
            store: TokenStore::new(clock, random),
        }
    }
}
