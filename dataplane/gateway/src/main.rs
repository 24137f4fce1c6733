//! `portcullis`: one governed, OAuth-protected front door to many MCP servers.
//!
//! ```text
//! snapshot   resources -> contract -> route table, swapped whole
//! edge       listeners; Host and Origin; who serves which path
//! pipeline   route -> principal -> message -> access -> credential -> relay -> answer, an event on every exit
//! upstream   pooled connections to origins
//! ```

mod catalog;
mod command;
mod config_source;
mod edge;
#[cfg(test)]
mod golden;
mod pipeline;
mod reencrypt;
mod shutdown;
mod sign_in_tokens;
mod token_review;
mod upstream;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

/// A relayed call makes a few dozen small allocations; the system's allocator would be a tenth of its cost.
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
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is logged: `RUST_LOG`, else whatever is worth a person's attention.
fn filter() -> EnvFilter {
    let wanted =
        std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| "info,sqlx=warn,rmcp=warn".to_owned());
    // Kubernetes' client logs each failed attempt; `snapshot/cluster` tells when it begins and when it is over.
    let quiet = if wanted.contains("kube") { "" } else { ",kube_client=off,kube_runtime=off" };
    EnvFilter::new(format!("{wanted}{quiet}"))
}
