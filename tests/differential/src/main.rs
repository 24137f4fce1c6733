//! Compares what the gateway reads in a message with what the decoders of MCP SDKs read. See README.md.

mod compare;
mod decoder;
mod explore;
mod gateway;
mod known;
mod minimize;
mod mutate;
mod reading;
mod report;
mod sample;
mod text;
mod tree;
mod words;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use crate::compare::{Channel, Difference};
use crate::decoder::Decoders;
use crate::explore::{Limit, Outcome};
use crate::report::Report;
use crate::sample::Sample;

/// The differential oracle.
#[derive(Parser)]
struct Arguments {
    /// Command of a process with decoders; may be repeated.
    #[arg(long, required = true)]
    decoders: Vec<String>,
    /// Folder of ordinary messages.
    #[arg(long)]
    seeds: PathBuf,
    /// Folder of messages that decoders read differently, which the gateway rejects.
    #[arg(long)]
    differences: PathBuf,
    /// Folder for minimal messages of the differences that are found.
    #[arg(long)]
    found: PathBuf,
    /// Stop after so many messages.
    #[arg(long)]
    messages: Option<u64>,
    /// Stop after this time, if there is no number of messages.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed of the random numbers. One seed generates one sequence of messages.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File for the results, as Markdown.
    #[arg(long)]
    results: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut processes =
        arguments.decoders.iter().map(|it| Decoders::start(it)).collect::<Result<Vec<_>>>()?;
    let seeds = Sample::read_folder(&arguments.seeds)?;
    let differences = Sample::read_folder(&arguments.differences)?;
    let mut report = Report::default();
    for sample in &differences {
        report.known(sample, known::fault(&mut processes, sample)?);
    }
    let limit =
        arguments.messages.map_or(Limit::Time(Duration::from_secs(arguments.seconds)), Limit::Messages);
    let corpus = seeds.into_iter().chain(differences).collect();
    let (outcome, mut processes) = explore::explore(processes, corpus, limit, arguments.seed)?;
    let minimal = minimal_differences(&mut processes, &outcome)?;
    report.outcome(&outcome, &minimal);
    report.keep(&minimal, &arguments.found)?;
    report.finish(arguments.results.as_deref())
}

/// The differences, each with the smallest message that shows it.
fn minimal_differences(processes: &mut [Decoders], outcome: &Outcome) -> Result<Vec<Difference>> {
    let mut minimal: Vec<Difference> = Vec::new();
    for (_, kept) in outcome.differences.values() {
        for difference in kept {
            let found = minimal_difference(processes, difference)?;
            let known = |known: &Difference| known.sample == found.sample && known.class() == found.class();
            if !minimal.iter().any(known) {
                minimal.push(found);
            }
        }
    }
    Ok(minimal)
}

fn minimal_difference(processes: &mut [Decoders], difference: &Difference) -> Result<Difference> {
    for decoders in processes {
        let Some(place) = decoders.names().iter().position(|name| *name == difference.decoder) else {
            continue;
        };
        let channel = Channel { place, by_http: difference.by_http };
        let mut differs = |sample: &Sample| {
            let found = compare::difference(decoders, &channel, sample).ok().flatten();
            found.filter(|found| found.member == difference.member)
        };
        let sample = minimize::minimize(&difference.sample, |sample| differs(sample).is_some());
        if let Some(found) = differs(&sample) {
            return Ok(found);
        }
    }
    Ok(difference.clone())
}
