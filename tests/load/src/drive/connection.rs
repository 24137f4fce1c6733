//! One keep-alive HTTP/1.1 connection. By hand, so that the driver costs less than what it measures.

use anyhow::Context as _;
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer answers than this are an error.
const MAX_RESPONSE_LEN: usize = 4 << 20;

/// A connection and what it has read.
pub(super) struct Connection {
    stream: TcpStream,
    address: String,
    read: Vec<u8>,
    /// A chunked body, put together.
    joined: Vec<u8>,
}

/// One answer, whole.
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) is_json: bool,
    pub(super) body: &'a [u8],
}

#[derive(Clone, Copy)]
enum BodyLength {
    Known(usize),
    Chunked,
}

struct Head {
    status: u16,
    is_json: bool,
    closes: bool,
    length: BodyLength,
    /// Where the body starts.
    end: usize,
}

impl Connection {
    pub(super) async fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            address: address.to_owned(),
            read: Vec::with_capacity(16 << 10),
            joined: Vec::new(),
        })
    }

    /// Sends a request and reads its answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Response<'_>> {
        self.read.clear();
        self.stream.write_all(request).await.context("sending a request")?;
        let head = loop {
            self.read_more().await?;
            if let Some(head) = parse_head(&self.read)? {
                break head;
            }
        };
        let body = match head.length {
            BodyLength::Known(length) => {
                while self.read.len() < head.end + length {
                    self.read_more().await?;
                }
                anyhow::ensure!(self.read.len() == head.end + length, "more came than the answer has bytes");
                &self.read[head.end..]
            }
            BodyLength::Chunked => {
                while !self.read.ends_with(b"0\r\n\r\n") {
                    self.read_more().await?;
                }
                join_chunks(&self.read[head.end..], &mut self.joined)?;
                &self.joined
            }
        };
        if head.closes {
            // Taken up again at once: a server may end a connection after so many requests.
            self.stream = TcpStream::connect(&self.address).await.context("connecting again")?;
            self.stream.set_nodelay(true)?;
        }
        Ok(Response { status: head.status, is_json: head.is_json, body })
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.read.len() < MAX_RESPONSE_LEN, "an answer of more than 4 MiB");
        let count = self.stream.read_buf(&mut self.read).await.context("reading an answer")?;
        anyhow::ensure!(
            count > 0,
            "the connection ended in the middle of an answer, after {} bytes",
            self.read.len()
        );
        Ok(())
    }
}

fn parse_head(read: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(read).context("the answer's head")? else {
        return Ok(None);
    };
    let mut head = Head {
        status: response.code.unwrap_or(0),
        is_json: false,
        closes: false,
        length: BodyLength::Known(0),
        end,
    };
    for header in response.headers.iter() {
        let is = |value: &[u8]| header.value.eq_ignore_ascii_case(value);
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value)?.trim().parse().context("Content-Length")?;
            head.length = BodyLength::Known(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            anyhow::ensure!(is(b"chunked"), "a transfer encoding other than chunked");
            head.length = BodyLength::Chunked;
        } else if header.name.eq_ignore_ascii_case("content-type") {
            head.is_json = header.value.starts_with(b"application/json");
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closes = is(b"close");
        }
    }
    Ok(Some(head))
}

/// Puts the chunks of a complete body together.
fn join_chunks(mut chunks: &[u8], joined: &mut Vec<u8>) -> anyhow::Result<()> {
    joined.clear();
    loop {
        let line = memmem::find(chunks, b"\r\n").context("a chunk without a size")?;
        let size = std::str::from_utf8(&chunks[..line])?.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        let start = line + 2;
        if size == 0 {
            return Ok(());
        }
        let (piece, rest) =
            chunks.get(start..).and_then(|rest| rest.split_at_checked(size)).context("a chunk cut short")?;
        joined.extend_from_slice(piece);
        chunks = rest.strip_prefix(b"\r\n").context("a chunk that does not end where it says")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_head_then_status_type_and_length_are_read_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 12\r\nConnection: close\r\n\r\n{}";
        assert!(parse_head(&text[..40]).unwrap().is_none());
        let head = parse_head(text).unwrap().unwrap();
        assert_eq!((head.status, head.is_json, head.closes, head.end), (200, true, true, text.len() - 2));
        assert!(matches!(head.length, BodyLength::Known(12)));
    }

    #[test]
    fn given_chunks_then_they_are_joined_and_broken_ones_refused() {
        let mut joined = Vec::new();
        join_chunks(b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", &mut joined).unwrap();
        assert_eq!(joined, b"abc0123456789");
        assert!(join_chunks(b"4\r\nabc\r\n0\r\n\r\n", &mut joined).is_err());
        assert!(join_chunks(b"zz\r\nabc\r\n0\r\n\r\n", &mut joined).is_err());
    }
}
