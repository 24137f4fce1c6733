//! Generates messages, lets all decoders read those that the gateway accepts, and collects differences.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fastrand::Rng;

use crate::compare::Difference;
use crate::decoder::Decoders;
use crate::gateway;
use crate::mutate::mutate;
use crate::sample::Sample;
use crate::worker::{self, Findings, Item};

/// Accepted messages per batch.
const BATCH: usize = 2000;
/// One in so many accepted messages passes through HTTP servers too.
const HTTP_SHARE: usize = 200;
/// Maximum number of messages that later ones are derived from.
const MAX_CORPUS: usize = 20_000;
/// Larger messages are not mutated further.
const MAX_BODY: usize = 4096;
/// Differences kept per class, for minimization.
const KEPT_PER_CLASS: usize = 3;

/// When to stop.
#[derive(Clone, Copy)]
pub enum Limit {
    /// After so many messages.
    Messages(u64),
    /// After this time.
    Time(Duration),
}

/// What an exploration found.
#[derive(Default)]
pub struct Outcome {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Messages given to the gateway's reader.
    pub messages: u64,
    /// Messages that it accepted.
    pub accepted: u64,
    /// Per decoder: messages read, and rejected.
    pub decoders: BTreeMap<String, [u64; 2]>,
    /// Messages that passed through an HTTP server, per process.
    pub by_http: u64,
    /// Number of differences per class, and the shortest messages of each.
    pub differences: BTreeMap<(String, &'static str, bool), (u64, Vec<Difference>)>,
    /// Messages that later ones were derived from.
    pub corpus: usize,
    /// Duration of the exploration.
    pub time: Duration,
}

struct Lane {
    names: Vec<String>,
    batches: Sender<Arc<Vec<Item>>>,
    findings: Receiver<Result<Findings>>,
}

/// Explores from these messages. Returns what was found, and the decoders.
pub fn explore(
    processes: Vec<Decoders>,
    corpus: Vec<Sample>,
    limit: Limit,
    seed: u64,
) -> Result<(Outcome, Vec<Decoders>)> {
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        let mut threads = Vec::new();
        for decoders in processes {
            let names = decoders.names().to_vec();
            let (batches, received) = channel();
            let (sender, findings) = channel();
            threads.push(scope.spawn(move || worker::run(decoders, &received, &sender)));
            lanes.push(Lane { names, batches, findings });
        }
        let seeds = corpus.len();
        let mut explorer = Explorer {
            rng: Rng::with_seed(seed),
            corpus,
            seeds,
            seen: HashSet::new(),
            outcome: Outcome { seed, ..Outcome::default() },
        };
        let explored = explorer.run(&lanes, limit);
        drop(lanes);
        let processes = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        explored.map(|()| (explorer.outcome, processes))
    })
}

struct Explorer {
    rng: Rng,
    corpus: Vec<Sample>,
    /// The first of `corpus`, which were not generated.
    seeds: usize,
    /// Behaviours seen: method, and which decoders read the message.
    seen: HashSet<(String, Vec<u8>)>,
    outcome: Outcome,
}

impl Explorer {
    fn run(&mut self, lanes: &[Lane], limit: Limit) -> Result<()> {
        let started = Instant::now();
        // The seeds themselves are the first batch.
        let mut waiting = self.send(lanes, self.corpus.clone())?;
        loop {
            let ended = match limit {
                Limit::Messages(count) => self.outcome.messages >= count,
                Limit::Time(time) => started.elapsed() >= time,
            };
            // The decoders read one batch while the next is generated.
            let next = (!ended).then(|| self.generate());
            let next = next.map(|samples| self.send_accepted(lanes, samples)).transpose()?;
            self.receive(lanes, &waiting)?;
            match next {
                Some(batch) => waiting = batch,
                None => break,
            }
        }
        self.outcome.time = started.elapsed();
        self.outcome.corpus = self.corpus.len();
        Ok(())
    }

    fn send(&mut self, lanes: &[Lane], samples: Vec<Sample>) -> Result<Arc<Vec<Item>>> {
        let items: Vec<_> = samples.into_iter().filter_map(|sample| self.read(sample)).collect();
        self.send_accepted(lanes, items)
    }

    fn send_accepted(&mut self, lanes: &[Lane], items: Vec<Item>) -> Result<Arc<Vec<Item>>> {
        let batch = Arc::new(items);
        for lane in lanes {
            lane.batches.send(Arc::clone(&batch)).context("a decoder has ended")?;
        }
        Ok(batch)
    }

    fn generate(&mut self) -> Vec<Item> {
        let mut items = Vec::with_capacity(BATCH);
        while items.len() < BATCH {
            // Every second message is one step away from a seed: most decoders still read those.
            let bound = if self.rng.bool() { self.seeds } else { self.corpus.len() };
            let sample = &self.corpus[self.rng.usize(..bound)];
            let other = &self.corpus[self.rng.usize(..self.corpus.len())];
            let mutated = mutate(&mut self.rng, sample, other);
            items.extend(self.read(mutated));
        }
        items
    }

    fn read(&mut self, sample: Sample) -> Option<Item> {
        self.outcome.messages += 1;
        let accepted = gateway::read(&sample)?;
        self.outcome.accepted += 1;
        let unusual = accepted.content_type != "application/json" && self.rng.u8(..) < 64;
        let by_http = unusual
            || !sample.has_plain_headers() && self.rng.u8(..) < 8
            || self.rng.usize(..HTTP_SHARE) == 0;
        Some(Item { sample, accepted, by_http })
    }

    fn receive(&mut self, lanes: &[Lane], batch: &[Item]) -> Result<()> {
        let mut read = vec![Vec::new(); batch.len()];
        for (place, lane) in lanes.iter().enumerate() {
            let findings = lane.findings.recv().context("a decoder has ended")??;
            for (name, [accepted, rejected]) in lane.names.iter().zip(findings.counts) {
                let counts = self.outcome.decoders.entry(name.clone()).or_default();
                counts[0] += accepted;
                counts[1] += rejected;
            }
            if place == 0 {
                self.outcome.by_http += findings.by_http;
            }
            for (bits, found) in read.iter_mut().zip(findings.read) {
                bits.push(found);
            }
            for difference in findings.differences {
                self.keep(difference);
            }
        }
        for (item, bits) in batch.iter().zip(read) {
            let behaviour = (item.accepted.reading.shared.method.chars().take(32).collect(), bits);
            if self.corpus.len() < MAX_CORPUS
                && item.sample.body.len() <= MAX_BODY
                && self.seen.insert(behaviour)
            {
                self.corpus.push(item.sample.clone());
            }
        }
        Ok(())
    }

    fn keep(&mut self, difference: Difference) {
        let (count, kept) = self.outcome.differences.entry(difference.class()).or_default();
        *count += 1;
        kept.push(difference);
        kept.sort_by_key(|kept| kept.sample.body.len());
        kept.truncate(KEPT_PER_CLASS);
    }
}
