//! Listener and worker arguments.

use std::net::SocketAddr;

use clap::Args;

use super::limit_args::LimitArgs;

/// Listeners and workers.
#[derive(Args, Clone)]
pub(super) struct ListenArgs {
    /// Address of the public listener: MCP, OAuth and pages. Terminate TLS in front of it.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Address of the private listener: health, metrics, routes.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub(super) admin_listen: SocketAddr,
    /// Number of worker threads. Default: the number of processors.
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<usize>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
}
