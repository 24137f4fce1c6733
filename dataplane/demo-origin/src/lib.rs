//! An OAuth-protected MCP server for `portcullis demo`: a notebook whose accounts, tokens and notes live in
//! memory.
//!
//! One loopback listener serves both parts of a typical company origin:
//!
//! * `/mcp`: the MCP endpoint, in both eras (`notebook`), behind a bearer check (`bearer`);
//! * all other paths: the authorization server that the endpoint's metadata points to (`authorization`).
//!
//! It has no sign-in: the user selects one of a few demo accounts in the browser. It therefore binds only to
//! loopback addresses and accepts only its own address as `Host`.

mod accounts;
mod app_state;
mod authorization;
mod bearer;
mod notebook;
mod pages;
mod routes;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_clock::{Clock, Random};
use tokio::net::TcpListener;

use crate::app_state::AppState;

/// A demo origin with a bound port that does not serve yet.
pub struct DemoOrigin {
    listener: TcpListener,
    site: Arc<AppState>,
}

/// Binds the listener. [`DemoOrigin::url`] is available before serving starts. Port 0 selects a free port.
///
/// # Errors
/// When the address cannot be bound, or is not a loopback address: the demo has neither real accounts nor
/// TLS.
pub async fn bind(address: SocketAddr) -> io::Result<DemoOrigin> {
    bind_with(address, Clock::system(), Random::system()).await
}

/// Like [`bind`], with a given clock and source of randomness.
///
/// # Errors
/// As [`bind`].
pub async fn bind_with(address: SocketAddr, clock: Clock, random: Random) -> io::Result<DemoOrigin> {
    if !address.ip().is_loopback() {
        let message = format!(
            "the demo origin accepts only loopback addresses: bind it to 127.0.0.1, not to {address}"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let listener = TcpListener::bind(address).await?;
    let site = Arc::new(AppState::new(listener.local_addr()?, clock, random));
    Ok(DemoOrigin { listener, site })
}

impl DemoOrigin {
    /// URL of the MCP endpoint, which is also the `resource` of its tokens: `http://127.0.0.1:PORT/mcp`.
    #[must_use]
    pub fn url(&self) -> String {
        self.site.resource.clone()
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// When the listener fails.
    pub fn serve(self) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let router = routes::router(self.site);
        async move { axum::serve(self.listener, router).await }
    }
}
