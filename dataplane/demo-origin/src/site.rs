//! What every part of the demo origin shares, and how its parts are put together.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HOST;
use portcullis_ambient::{Clock, Random};

use crate::accounts::Accounts;
use crate::authorization::{self, Ledger};
use crate::{bearer, notebook};

/// The one scope that the notebook knows.
pub(crate) const SCOPE: &str = "notes";

/// Addresses, accounts, and what the authorization server has given out.
pub(crate) struct Site {
    /// `127.0.0.1:PORT`: the only `Host` that is answered.
    pub(crate) authority: String,
    /// The authorization server's identifier: `http://127.0.0.1:PORT`.
    pub(crate) issuer: String,
    /// The MCP endpoint: `http://127.0.0.1:PORT/mcp`.
    pub(crate) resource: String,
    /// The demo's people and their notes.
    pub(crate) accounts: Arc<Accounts>,
    /// Clients, codes and tokens.
    pub(crate) ledger: Ledger,
}

impl Site {
    pub(crate) fn new(address: SocketAddr, clock: Clock, random: Random) -> Self {
        Self {
            authority: address.to_string(),
            issuer: format!("http://{address}"),
            resource: format!("http://{address}/mcp"),
            accounts: Arc::new(Accounts::new()),
            ledger: Ledger::new(clock, random),
        }
    }
}

/// Both halves behind the check of `Host`.
pub(crate) fn router(site: Arc<Site>) -> Router {
    let protected = Router::new()
        .route_service("/mcp", notebook::service(&site))
        .route_layer(from_fn_with_state(site.clone(), bearer::check));
    Router::new()
        .merge(protected)
        .merge(authorization::router(site.clone()))
        .layer(from_fn_with_state(site, own_name_only))
}

/// A page elsewhere that has its name resolve to loopback (DNS rebinding) comes with its own `Host`: refused.
async fn own_name_only(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if request.headers().get(HOST).is_none_or(|host| *host != site.authority) {
        let message = format!("This demo answers to {} alone.\n", site.authority);
        return (StatusCode::MISDIRECTED_REQUEST, message).into_response();
    }
    next.run(request).await
}
