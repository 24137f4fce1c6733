//! Load measurement: an MCP origin with minimal overhead, and a closed-loop driver that checks every
//! response.

mod drive;
mod origin;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve an MCP origin of 2026-07-28 with 100 tools, with or without bearer tokens.
    Origin(origin::Options),
    /// Send requests over keep-alive connections, each after the response to the previous one. Reports one
    /// JSON line.
    Drive(drive::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Origin(options) => origin::run(options),
        Command::Drive(options) => drive::run(options),
    }
}
