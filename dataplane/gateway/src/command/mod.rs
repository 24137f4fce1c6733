//! The command line.

mod database;
#[cfg(feature = "demo")]
mod demo;
#[cfg(test)]
mod golden;
mod keys;
mod listen;
mod probe;
mod run;
mod serve;
mod shutdown_args;
mod startup;
mod validate;

use std::process::ExitCode;

use clap::Parser;

/// One governed, OAuth-protected front door to many MCP servers.
#[derive(Parser)]
#[command(version, about)]
pub(crate) enum Command {
    /// Serve what a folder of manifests says, or what a cluster's operator publishes, and follow its edits.
    Serve(Box<serve::Serve>),
    /// Say what is wrong with a folder of manifests.
    Validate(validate::Validate),
    /// Try it: a development sign-in and a small OAuth-protected MCP server of its own, on this machine alone.
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Make and rotate the gateway's own keys.
    #[command(subcommand)]
    Keys(Box<keys::Keys>),
    /// Say whether a gateway serves at an address.
    Probe(probe::Probe),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Validate(validate) => validate.run(),
            #[cfg(feature = "demo")]
            Self::Demo(demo) => demo.run(),
            Self::Keys(keys) => keys.run(),
            Self::Probe(probe) => probe.run(),
        }
    }
}
