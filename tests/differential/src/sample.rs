//! A message with its headers, and the form in which seeds are kept.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The headers of an ordinary message.
const CONTENT_TYPE: &str = "content-type";
const JSON: &str = "application/json";

/// A message as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sample {
    /// Names and values of headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Sample {
    /// A message with ordinary headers.
    pub fn new(body: Vec<u8>) -> Self {
        Self { headers: vec![(CONTENT_TYPE.to_owned(), JSON.to_owned())], body }
    }

    /// Whether the headers are the ordinary ones.
    pub fn has_plain_headers(&self) -> bool {
        matches!(&*self.headers, [(name, value)] if name == CONTENT_TYPE && value == JSON)
    }

    /// The headers; `None` if one is malformed: an HTTP server rejects such a request.
    pub fn header_map(&self) -> Option<HeaderMap> {
        self.headers
            .iter()
            .map(|(name, value)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
            })
            .collect()
    }

    /// Reads a seed: the body alone, or headers, an empty line and the body.
    pub fn parse(text: &[u8]) -> Self {
        let split = text.windows(2).position(|pair| pair == b"\n\n");
        match split {
            Some(at) if !text.starts_with(b"{") => {
                let headers = String::from_utf8_lossy(&text[..at]);
                let headers = headers.lines().filter_map(|line| line.split_once(": "));
                Self {
                    headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                    body: text[at + 2..].to_vec(),
                }
            }
            _ => Self::new(text.to_vec()),
        }
    }

    /// The form that [`Sample::parse`] reads.
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.has_plain_headers() || !self.body.starts_with(b"{") {
            for (name, value) in &self.headers {
                out.extend_from_slice(format!("{name}: {value}\n").as_bytes());
            }
            out.push(b'\n');
        }
        out.extend_from_slice(&self.body);
        out
    }

    /// All seeds of a folder, in the order of their names.
    pub fn read_folder(folder: &Path) -> Result<Vec<Self>> {
        let mut paths: Vec<_> = fs::read_dir(folder)
            .with_context(|| format!("cannot read the folder of seeds {}", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        paths.sort();
        let samples = paths.iter().map(|path| {
            let mut text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            if text.last() == Some(&b'\n') {
                text.pop();
            }
            Ok(Self::parse(&text))
        });
        samples.collect()
    }
}
