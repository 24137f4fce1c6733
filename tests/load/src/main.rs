//! Measuring: an MCP origin that costs next to nothing, and a closed-loop driver that checks every answer.

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
    /// Serves an MCP origin of 2026-07-28 with 100 tools, open or behind bearer tokens.
    Origin(origin::Options),
    /// Sends requests over keep-alive connections, each when the one before is answered; reports as one JSON line.
    Drive(drive::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Origin(options) => origin::run(options),
        Command::Drive(options) => drive::run(options),
    }
}
