//! An OAuth-protected MCP server for `portcullis demo`: a notebook whose accounts, tokens and notes live in memory.
//!
//! One loopback listener serves both halves of what a company's origin is made of:
//!
//! * `/mcp`: the MCP endpoint, in both eras (`notebook`), behind a bearer check (`bearer`);
//! * the rest: the authorization server that the endpoint's metadata points to (`authorization`).
//!
//! It has no sign-in of its own. Whoever is at the browser picks one of a few demo accounts, which is why it refuses to
//! be bound to anything but loopback and answers to no other name than its own address.

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

/// A demo origin that has its port and is about to serve.
pub struct DemoOrigin {
    listener: TcpListener,
    site: Arc<AppState>,
}

/// Takes a port, so that [`DemoOrigin::url`] is known before anything is served. Port 0 takes a free one.
///
/// # Errors
/// When the address cannot be bound, or is not a loopback address: the demo has neither real accounts nor TLS.
pub async fn bind(address: SocketAddr) -> io::Result<DemoOrigin> {
    bind_with(address, Clock::system(), Random::system()).await
}

/// Like [`bind`], by a clock and a source of randomness of the caller's.
///
/// # Errors
/// As [`bind`].
pub async fn bind_with(address: SocketAddr, clock: Clock, random: Random) -> io::Result<DemoOrigin> {
    if !address.ip().is_loopback() {
        let message =
            format!("the demo origin serves this machine alone: bind it to 127.0.0.1, not to {address}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let listener = TcpListener::bind(address).await?;
    let site = Arc::new(AppState::new(listener.local_addr()?, clock, random));
    Ok(DemoOrigin { listener, site })
}

impl DemoOrigin {
    /// Where MCP clients find it, which is also the `resource` that its tokens are for: `http://127.0.0.1:PORT/mcp`.
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
