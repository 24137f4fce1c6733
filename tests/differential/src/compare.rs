//! Compares what the gateway reads with what decoders read.

use anyhow::Result;

use crate::decoder::{Answer, Decoders};
use crate::gateway::{self, Accepted};
use crate::reading::GatewayReading;
use crate::sample::Sample;

/// The gateway accepts a message that a decoder reads differently.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The message.
    pub sample: Sample,
    /// The decoder.
    pub decoder: String,
    /// Whether the message passed through the SDK's HTTP server.
    pub by_http: bool,
    /// Which value differs.
    pub member: &'static str,
    /// What the gateway reads.
    pub gateway: GatewayReading,
    /// What the decoder reads.
    pub answer: Answer,
}

impl Difference {
    /// Differences of one class often have one cause.
    pub fn class(&self) -> (String, &'static str, bool) {
        (self.decoder.clone(), self.member, self.by_http)
    }
}

/// The first member that an answer contradicts.
pub fn contradiction(
    reading: &GatewayReading,
    answer: &Answer,
    absent_is_empty: bool,
) -> Option<&'static str> {
    match answer {
        Answer::Rejected => None,
        Answer::Read(decoder) => reading.difference(decoder, absent_is_empty),
        Answer::Unreadable(_) => Some("unreadable"),
    }
}

/// One way to a decoder.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Place of the decoder in its process.
    pub place: usize,
    /// Whether through HTTP.
    pub by_http: bool,
}

/// Asks one decoder about one message. `None` if the gateway rejects the message, or both agree.
pub fn difference(decoders: &mut Decoders, channel: &Channel, sample: &Sample) -> Result<Option<Difference>> {
    let Some(accepted) = gateway::read(sample) else { return Ok(None) };
    let answers = ask(decoders, channel.by_http, &accepted, sample)?;
    let answer = &answers[channel.place];
    let member = contradiction(&accepted.reading, answer, decoders.absent_is_empty());
    Ok(member.map(|member| Difference {
        sample: sample.clone(),
        decoder: decoders.names()[channel.place].clone(),
        by_http: channel.by_http,
        member,
        gateway: accepted.reading,
        answer: answer.clone(),
    }))
}

/// The answers to a message that the gateway forwards.
pub fn ask(
    decoders: &mut Decoders,
    by_http: bool,
    accepted: &Accepted,
    sample: &Sample,
) -> Result<Vec<Answer>> {
    if by_http {
        return decoders.post(&accepted.content_type, &sample.body);
    }
    let mut answers = decoders.ask(&[&sample.body])?;
    Ok(answers.remove(0))
}
