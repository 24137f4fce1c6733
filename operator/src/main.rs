//! `portcullis-operator`: watches the four kinds, compiles them, publishes the config documents of the data
//! plane, and reports status.
//!
//! ```text
//! watch            turns watch events of the API server into changes
//! discover         probes origins for their catalogs; each outcome is a change
//! poll_replicas    reads from replicas the catalogs that users saw, for origins that need a user's account
//! cluster_state    resources, credentials, published objects and replicas, as last observed
//! desired_state    resources -> objects to publish, and diagnostics     (crds/compiler, pure)
//! publish          writes the difference between desired and published objects by server-side apply
//! slug_ledger      which virtual MCP has each slug, and which slugs are reserved
//! status           conditions, from diagnostics and replica reports; status_writer writes those that differ
//! reconciler       one level-triggered loop over all of it: a second run writes nothing
//! restore_uids     after a restore into another cluster: maps new UIDs to the UIDs from the backup
//! leader_election  a Lease selects the one operator that writes
//! ```
//!
//! *Architecture invariant:* there is one writer. [`reconciler`] owns the cluster state and receives changes
//! from a channel. Nothing is locked, and all decisions use the same state.

mod admin_server;
mod cluster_state;
mod command;
mod desired_state;
mod discover;
mod keys_secret;
mod leader_election;
mod poll_replicas;
mod programmed;
mod publish;
mod reconciler;
mod restore_uids;
mod run;
mod slug_ledger;
mod status;
mod status_writer;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use command::{Arguments, Command};

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Crds { kind } => {
            let text =
                command::crds(kind).context("failed to write the CustomResourceDefinitions as YAML")?;
            std::io::stdout()
                .write_all(text.as_bytes())
                .context("failed to print the CustomResourceDefinitions")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Adopt(arguments) => restore_uids::run(arguments),
        Command::Run(arguments) => run::run(arguments),
    }
}

#[cfg(test)]
mod golden;
