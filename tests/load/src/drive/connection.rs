//! A minimal keep-alive HTTP/1.1 connection. It keeps the cost of the driver below the cost of the measured
//! system.

use anyhow::Context as _;
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_LEN: usize = 4 << 20;

/// A connection with its read buffers.
pub(super) struct Connection {
    stream: TcpStream,
    address: String,
    read: Vec<u8>,
    /// The joined chunks of a chunked body.
    joined: Vec<u8>,
}

/// A complete response.
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
    /// Index at which the body starts.
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

    /// Sends a request and reads its response.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Response<'_>> {
        self.read.clear();
        self.stream.write_all(request).await.context("failed to send a request")?;
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
                anyhow::ensure!(
                    self.read.len() == head.end + length,
                    "received more bytes than Content-Length"
                );
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
            // Reconnects at once: a server may close a connection after a number of requests.
            self.stream = TcpStream::connect(&self.address).await.context("failed to reconnect")?;
            self.stream.set_nodelay(true)?;
        }
        Ok(Response { status: head.status, is_json: head.is_json, body })
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.read.len() < MAX_RESPONSE_LEN, "the response exceeds 4 MiB");
        let count = self.stream.read_buf(&mut self.read).await.context("failed to read a response")?;
        anyhow::ensure!(
            count > 0,
            "the connection closed in the middle of a response, after {} bytes",
            self.read.len()
        );
        Ok(())
    }
}

fn parse_head(read: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(read).context("invalid response head")? else {
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
            let length =
                std::str::from_utf8(header.value)?.trim().parse().context("invalid Content-Length")?;
            head.length = BodyLength::Known(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            anyhow::ensure!(is(b"chunked"), "unsupported transfer encoding; expected chunked");
            head.length = BodyLength::Chunked;
        } else if header.name.eq_ignore_ascii_case("content-type") {
            head.is_json = header.value.starts_with(b"application/json");
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closes = is(b"close");
        }
    }
    Ok(Some(head))
}

/// Joins the chunks of a complete body.
fn join_chunks(mut chunks: &[u8], joined: &mut Vec<u8>) -> anyhow::Result<()> {
    joined.clear();
    loop {
        let line = memmem::find(chunks, b"\r\n").context("invalid chunked body: missing chunk size")?;
        let size = std::str::from_utf8(&chunks[..line])?.split(';').next().unwrap_or_default();
        let size =
            usize::from_str_radix(size.trim(), 16).context("invalid chunked body: invalid chunk size")?;
        let start = line + 2;
        if size == 0 {
            return Ok(());
        }
        let (piece, rest) = chunks
            .get(start..)
            .and_then(|rest| rest.split_at_checked(size))
            .context("invalid chunked body: truncated chunk")?;
        joined.extend_from_slice(piece);
        chunks = rest.strip_prefix(b"\r\n").context("invalid chunked body: chunk longer than its size")?;
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
