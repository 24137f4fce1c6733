//! One thread per decoder process: compares batches of messages.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use anyhow::Result;

use crate::compare::{Difference, contradiction};
use crate::decoder::{Answer, Decoders};
use crate::gateway::Accepted;
use crate::sample::Sample;

/// A message of a batch.
pub struct Item {
    /// The message.
    pub sample: Sample,
    /// What the gateway makes of it.
    pub accepted: Accepted,
    /// Whether it also passes through HTTP servers.
    pub by_http: bool,
}

/// The findings of one process about one batch.
pub struct Findings {
    /// What the gateway and a decoder read differently.
    pub differences: Vec<Difference>,
    /// Per decoder: messages read, and rejected.
    pub counts: Vec<[u64; 2]>,
    /// Messages that passed through HTTP.
    pub by_http: u64,
    /// Per message: which decoders read it.
    pub read: Vec<u8>,
}

/// Compares batches until the sender is dropped; returns the process.
pub fn run(
    mut decoders: Decoders,
    batches: &Receiver<Arc<Vec<Item>>>,
    findings: &Sender<Result<Findings>>,
) -> Decoders {
    for batch in batches {
        let found = compare(&mut decoders, &batch);
        let failed = found.is_err();
        if findings.send(found).is_err() || failed {
            break;
        }
    }
    decoders
}

fn compare(decoders: &mut Decoders, batch: &[Item]) -> Result<Findings> {
    let bodies: Vec<_> = batch.iter().map(|item| &*item.sample.body).collect();
    let answers = decoders.ask(&bodies)?;
    let mut findings = Findings {
        differences: Vec::new(),
        counts: vec![[0; 2]; decoders.names().len()],
        by_http: 0,
        read: Vec::with_capacity(batch.len()),
    };
    for (item, answers) in batch.iter().zip(answers) {
        let mut read = 0;
        for (place, answer) in answers.iter().enumerate() {
            let rejected = *answer == Answer::Rejected;
            findings.counts[place][usize::from(rejected)] += 1;
            read |= u8::from(!rejected) << place;
        }
        findings.read.push(read);
        // Without the charset that the origin is told, a pipe would compare what no origin receives.
        if item.accepted.content_type.eq_ignore_ascii_case("application/json") {
            findings.collect(decoders, item, answers, false);
        }
        if item.by_http {
            let answers = decoders.post(&item.accepted.content_type, &item.sample.body)?;
            findings.by_http += 1;
            findings.collect(decoders, item, answers, true);
        }
    }
    Ok(findings)
}

impl Findings {
    fn collect(&mut self, decoders: &Decoders, item: &Item, answers: Vec<Answer>, by_http: bool) {
        for (name, answer) in decoders.names().iter().zip(answers) {
            let reading = &item.accepted.reading;
            let Some(member) = contradiction(reading, &answer, decoders.absent_is_empty()) else { continue };
            self.differences.push(Difference {
                sample: item.sample.clone(),
                decoder: name.clone(),
                by_http,
                member,
                gateway: reading.clone(),
                answer,
            });
        }
    }
}
