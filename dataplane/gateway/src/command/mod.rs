//! The command line of `portcullis`: one module per subcommand or group of arguments.

mod database;
#[cfg(feature = "demo")]
mod demo;
mod drain;
#[cfg(test)]
mod golden;
mod keys;
mod limit_args;
mod listen;
mod probe;
mod run;
mod serve;
mod shutdown_args;
mod startup;
mod validate;

use std::process::ExitCode;

use clap::Parser;

/// Portcullis: one governed, OAuth-protected endpoint in front of many MCP servers.
#[derive(Parser)]
#[command(version, about)]
pub(crate) enum Command {
    /// Serve MCP from a folder of manifests or from the config that a cluster's operator publishes, and
    /// follow changes.
    Serve(Box<serve::Serve>),
    /// Check a folder of manifests and print its errors and warnings.
    Validate(validate::Validate),
    /// Run a demo on this machine only: the gateway, a development sign-in, and a small OAuth-protected MCP
    /// server.
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Generate, decrypt and rotate the gateway's own keys.
    #[command(subcommand)]
    Keys(Box<keys::Keys>),
    /// Check whether a gateway serves at an address.
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
