//! `portcullis-operator`: watches the four kinds, compiles them, publishes what the data plane serves, and reports.
//!
//! ```text
//! watch      the API server's events, as changes            discover   origins' catalogs, as changes
//! world      what is known: resources, credentials, what is published, replicas
//! plan       resources -> what is to be published, what is wrong      (crds/compiler, pure)
//! publish    the difference between what is to be and what is there, written by server-side apply
//! status     conditions, from the plan and from what replicas report; written where they differ
//! observe    what people were shown of origins that ask for an account; the replicas tell it
//! engine     one loop over all of it, level-triggered: run again, it writes nothing
//! adopt      after a restore elsewhere: resources go by the identities that they had
//! leader     one of several operators acts, by a Lease
//! ```
//!
//! *Architecture invariant:* there is one writer. [`reconciler`] owns what is known and takes changes from a channel, so that nothing
//! is locked and no two decisions are made from different pasts.

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
            let text = command::crds(kind).context("the definitions could not be written as YAML")?;
            std::io::stdout().write_all(text.as_bytes()).context("the definitions could not be printed")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Adopt(arguments) => restore_uids::run(arguments),
        Command::Run(arguments) => run::run(arguments),
    }
}

#[cfg(test)]
mod golden;
