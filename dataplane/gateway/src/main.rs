//! `portcullis`: one governed, OAuth-protected endpoint in front of many MCP servers.
//!
//! ```text
//! config_source   manifests or published config -> route table, swapped as a whole
//! edge            listeners; checks of Host and Origin; routing of paths
//! limits          connections, memory, requests at the same time
//! pipeline        route -> authenticate -> parse -> authorize -> credential -> forward; one event per exit
//! upstream        pooled connections to origins
//! ```

mod catalog;
mod command;
mod config_source;
mod edge;
#[cfg(test)]
mod golden;
mod limits;
mod pipeline;
mod reencrypt;
mod shutdown;
mod sign_in_tokens;
mod token_review;
mod upstream;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use portcullis_egress::error_chain;
use tracing_subscriber::EnvFilter;

/// A forwarded call makes a few dozen small allocations. With the system allocator they would be a tenth of
/// its cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match command::Command::parse().run() {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error = %error_chain(&*error), "portcullis failed");
            ExitCode::FAILURE
        }
    }
}

/// Log filter from `RUST_LOG`. Default: `info`, and only warnings of noisy libraries.
fn filter() -> EnvFilter {
    let wanted =
        std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| "info,sqlx=warn,rmcp=warn".to_owned());
    // The Kubernetes client logs each failed attempt; `config_source/cluster` logs when an outage begins and
    // ends.
    let quiet = if wanted.contains("kube") { "" } else { ",kube_client=off,kube_runtime=off" };
    EnvFilter::new(format!("{wanted}{quiet}"))
}
