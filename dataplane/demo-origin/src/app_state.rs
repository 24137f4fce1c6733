//! What every part of the demo origin shares.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_clock::{Clock, Random};

use crate::accounts::Accounts;
use crate::authorization::token_store::TokenStore;

/// The one scope that the notebook knows.
pub(crate) const SCOPE: &str = "notes";

/// Addresses, accounts, and what the authorization server has given out.
pub(crate) struct AppState {
    /// `127.0.0.1:PORT`: the only `Host` that is answered.
    pub(crate) authority: String,
    /// The authorization server's identifier: `http://127.0.0.1:PORT`.
    pub(crate) issuer: String,
    /// The MCP endpoint: `http://127.0.0.1:PORT/mcp`.
    pub(crate) resource: String,
    /// The demo's people and their notes.
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
