//! Prepared requests. Only the digits of the id differ between requests.

use anyhow::Context as _;
use url::Url;

/// The digits of an id. The fixed length keeps Content-Length constant.
pub(super) type Id = [u8; ID_LEN];

const ID_LEN: usize = 10;
const FIRST_ID: u64 = 1_000_000_000;
const ID_PLACEHOLDER: &str = "{id}";

/// The ids of one connection. Connections use interleaved numbers, so all ids are unique.
pub(super) struct IdSequence {
    next: u64,
    step: u64,
}

impl IdSequence {
    pub(super) fn of(connection: usize, connections: usize) -> Self {
        Self { next: FIRST_ID + connection as u64, step: connections as u64 }
    }

    pub(super) fn next(&mut self) -> Id {
        let mut rest = self.next;
        self.next += self.step;
        let mut digits = [0; ID_LEN];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        digits
    }
}

/// A text with placeholders for an id.
#[derive(Clone)]
pub(super) struct Pattern {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut pattern = Self { bytes: Vec::new(), places: Vec::new() };
        for (number, piece) in text.split(ID_PLACEHOLDER).enumerate() {
            if number > 0 {
                pattern.places.push(pattern.bytes.len());
                pattern.bytes.extend([b'0'; ID_LEN]);
            }
            pattern.bytes.extend(piece.as_bytes());
        }
        pattern
    }

    /// Whether `bytes` is the text with this id.
    pub(super) fn matches(&self, bytes: &[u8], id: &Id) -> bool {
        if bytes.len() != self.bytes.len() {
            return false;
        }
        let mut done = 0;
        for &place in &self.places {
            if bytes[done..place] != self.bytes[done..place] || bytes[place..place + ID_LEN] != *id {
                return false;
            }
            done = place + ID_LEN;
        }
        bytes[done..] == self.bytes[done..]
    }

    fn fill(&mut self, id: &Id) -> &[u8] {
        for &place in &self.places {
            self.bytes[place..place + ID_LEN].copy_from_slice(id);
        }
        &self.bytes
    }
}

/// A complete HTTP/1.1 request with placeholders for its id.
#[derive(Clone)]
pub(super) struct RequestTemplate {
    /// `host:port`.
    pub(super) address: String,
    request: Pattern,
}

impl RequestTemplate {
    pub(super) fn new(url: &str, headers: &[String], body: &str) -> anyhow::Result<Self> {
        let url = Url::parse(url)?;
        anyhow::ensure!(url.scheme() == "http", "the URL must use plain http");
        let address =
            format!("{}:{}", url.host_str().context("the URL has no host")?, url.port().unwrap_or(80));
        let length = Pattern::new(body).bytes.len();
        let mut head =
            format!("POST {} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n", url.path());
        for header in headers {
            anyhow::ensure!(
                header.contains(": ") && !header.contains(['\r', '\n']),
                "a header must have the form `Name: value`"
            );
            head.push_str(header);
            head.push_str("\r\n");
        }
        Ok(Self { address, request: Pattern::new(&format!("{head}\r\n{body}")) })
    }

    pub(super) fn request(&mut self, id: Id) -> &[u8] {
        self.request.fill(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_connections_then_their_ids_differ() {
        let (mut a, mut b) = (IdSequence::of(0, 2), IdSequence::of(1, 2));
        let ids = [a.next(), b.next(), a.next()];
        assert_eq!(
            ids.map(|id| String::from_utf8(id.to_vec()).unwrap()),
            ["1000000000", "1000000001", "1000000002"]
        );
    }

    #[test]
    fn given_a_template_then_the_request_holds_the_id_wherever_it_belongs() {
        let mut template =
            RequestTemplate::new("http://127.0.0.1:81/mcp", &["A: b".into()], r#"{"id":{id},"x":"{id}"}"#)
                .unwrap();
        let request = String::from_utf8(template.request(*b"1234567890").to_vec()).unwrap();
        let body = r#"{"id":1234567890,"x":"1234567890"}"#;
        assert_eq!(
            request,
            format!(
                "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:81\r\nContent-Length: {}\r\nA: b\r\n\r\n{body}",
                body.len()
            )
        );
        assert_eq!(template.address, "127.0.0.1:81");
    }

    #[test]
    fn given_a_pattern_then_it_matches_its_text_with_that_id_alone() {
        let pattern = Pattern::new("a {id} b");
        assert!(pattern.matches(b"a 1234567890 b", b"1234567890"));
        assert!(!pattern.matches(b"a 1234567891 b", b"1234567890"));
        assert!(!pattern.matches(b"a 1234567890 c", b"1234567890"));
        assert!(!pattern.matches(b"a 123456789 b", b"1234567890"));
    }
}
