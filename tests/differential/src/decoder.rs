//! The decoders of the SDKs: long-running processes that read batches and write a line per message and decoder.

use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::reading::Reading;

/// Longer than any decoder needs for a message.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// What a decoder makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It rejects the message.
    Rejected,
    /// It reads these values.
    Read(Box<Reading>),
    /// It answered something that no reader of JSON accepts, for example half of a surrogate pair.
    Unreadable(String),
}

impl Answer {
    fn parse(line: &str) -> Self {
        match serde_json::from_str::<Option<Reading>>(line) {
            Ok(None) => Self::Rejected,
            Ok(Some(reading)) => Self::Read(Box::new(reading)),
            Err(_) => Self::Unreadable(line.to_owned()),
        }
    }
}

/// First line of a decoder process.
#[derive(Deserialize)]
struct Hello {
    decoders: Vec<String>,
    port: u16,
    #[serde(default)]
    absent_is_empty: bool,
}

/// A process with one or more decoders.
pub struct Decoders {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    hello: Hello,
}

impl Decoders {
    /// Starts a process, and waits until it is ready.
    pub fn start(command: &str) -> Result<Self> {
        let mut words = command.split_whitespace();
        let mut child = Command::new(words.next().context("a decoder's command is empty")?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command}"))?;
        let input = BufWriter::with_capacity(1 << 20, child.stdin.take().context("no standard input")?);
        let mut output =
            BufReader::with_capacity(1 << 20, child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let hello =
            serde_json::from_str(&line).with_context(|| format!("{command} did not start: {line:?}"))?;
        Ok(Self { child, input, output, hello })
    }

    /// Names of the decoders, in the order of their answers.
    pub fn names(&self) -> &[String] {
        &self.hello.decoders
    }

    /// Whether these decoders have one value for an absent string and an empty one.
    pub fn absent_is_empty(&self) -> bool {
        self.hello.absent_is_empty
    }

    /// The answers to some messages, through a pipe: the body alone.
    pub fn ask(&mut self, bodies: &[&[u8]]) -> Result<Vec<Vec<Answer>>> {
        self.input.write_all(&u32::try_from(bodies.len())?.to_le_bytes())?;
        for body in bodies {
            self.input.write_all(&u32::try_from(body.len())?.to_le_bytes())?;
            self.input.write_all(body)?;
        }
        self.input.flush()?;
        let mut line = String::new();
        let mut answer = || -> Result<Answer> {
            line.clear();
            ensure!(self.output.read_line(&mut line)? > 0, "{} ended", self.hello.decoders.join(", "));
            Ok(Answer::parse(line.trim_end()))
        };
        bodies.iter().map(|_| self.hello.decoders.iter().map(|_| answer()).collect()).collect()
    }

    /// The answers to one message through the SDK's HTTP server.
    pub fn post(&self, content_type: &str, body: &[u8]) -> Result<Vec<Answer>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.hello.port))?;
        stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: application/json, text/event-stream\r\n\
             Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        let response = String::from_utf8_lossy(&response);
        let (head, lines) =
            response.split_once("\r\n\r\n").context("a decoder's HTTP response has no end of its head")?;
        if !head.starts_with("HTTP/1.1 200") {
            return Ok(vec![Answer::Rejected; self.hello.decoders.len()]);
        }
        let answers: Vec<_> = lines.lines().map(Answer::parse).collect();
        ensure!(answers.len() == self.hello.decoders.len(), "unexpected HTTP response: {response}");
        Ok(answers)
    }
}

impl Drop for Decoders {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
