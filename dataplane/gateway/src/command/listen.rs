use std::net::SocketAddr;

use clap::Args;

/// Where and how to serve.
#[derive(Args, Clone)]
pub(super) struct ListenArgs {
    /// The public listener: MCP, OAuth and pages. Put TLS in front of it.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// The private listener: health, metrics, routes.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub(super) admin_listen: SocketAddr,
    /// Worker threads; as many as there are processors when left out.
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<usize>,
}
