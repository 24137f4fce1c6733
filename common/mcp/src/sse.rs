//! Splits server-sent event streams into whole events without changing their bytes.

use std::borrow::Cow;

use bytes::{Buf as _, Bytes, BytesMut};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event exceeds the size limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream exceeds {limit} bytes")]
pub struct TooLarge {
    /// The limit, in bytes.
    pub limit: usize,
}

/// Splits a stream of bytes into events: blocks that end with an empty line (HTML, section 9.2.5). Comments
/// and fields stay unchanged.
pub struct Splitter {
    buffer: BytesMut,
    /// Up to this index, `buffer` contains no end of an event.
    searched: usize,
    /// Whether the start of the stream has not been processed yet.
    at_start: bool,
    limit: usize,
}

impl Splitter {
    /// Creates a splitter that rejects events of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, at_start: true, limit }
    }

    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Number of bytes that are kept: an incomplete event, after [`next_event`](Self::next_event) returned `None`.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Returns the next complete event with its closing empty line, if it has arrived.
    ///
    /// # Errors
    /// When the event exceeds the limit.
    pub fn next_event(&mut self) -> Result<Option<Bytes>, TooLarge> {
        if self.at_start && !self.skip_byte_order_mark() {
            return Ok(None);
        }
        match end_of_event(&self.buffer, self.searched) {
            Some(end) if end <= self.limit => {
                self.searched = 0;
                Ok(Some(self.buffer.split_to(end).freeze()))
            }
            None if self.buffer.len() <= self.limit => {
                // The line ends that close an event may be split between two reads.
                self.searched = self.buffer.len().saturating_sub(3);
                Ok(None)
            }
            _ => Err(TooLarge { limit: self.limit }),
        }
    }

    /// Removes a byte order mark at the start of the stream, as clients do (HTML, section 9.2.5). Otherwise
    /// the first line would be parsed differently. Returns `false` while too few bytes have arrived to
    /// decide.
    fn skip_byte_order_mark(&mut self) -> bool {
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.advance(BYTE_ORDER_MARK.len());
        } else if BYTE_ORDER_MARK.starts_with(&self.buffer) {
            return false;
        }
        self.at_start = false;
        true
    }

    /// Returns the remaining bytes after the end of the stream: an incomplete event.
    #[must_use]
    pub fn rest(&mut self) -> Bytes {
        self.searched = 0;
        self.buffer.copy_to_bytes(self.buffer.len())
    }
}

/// Index after the first event, which ends with two consecutive line ends. A line ends with LF, CR LF or CR.
fn end_of_event(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'\n', b'\r', rest)) {
        let first = line_end(bytes, at + found);
        if matches!(bytes.get(first), Some(b'\n' | b'\r')) {
            return Some(line_end(bytes, first));
        }
        at = first;
    }
    None
}

/// Index after the line end that starts at `at`. If a CR is the last byte, an LF may follow in the next read. It
/// then becomes an empty line at the start of the next event, which clients ignore.
fn line_end(bytes: &[u8], at: usize) -> usize {
    let is_pair = matches!((bytes.get(at), bytes.get(at + 1)), (Some(b'\r'), Some(b'\n')));
    at + if is_pair { 2 } else { 1 }
}

/// Data of an event: its joined `data` lines (HTML, section 9.2.6). Empty for example for comments and
/// priming events.
#[must_use]
pub fn data(event: &[u8]) -> Cow<'_, [u8]> {
    let mut found: Option<Cow<'_, [u8]>> = None;
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let Some(value) = line.strip_prefix(b"data") else { continue };
        let value = match value {
            [] => value,
            [b':', rest @ ..] => rest.strip_prefix(b" ").unwrap_or(rest),
            _ => continue,
        };
        match &mut found {
            None => found = Some(Cow::Borrowed(value)),
            Some(data) => {
                let data = data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
    }
    found.unwrap_or_default()
}

/// The event with its data replaced. `data` must not contain line ends; JSON text written by this project
/// contains none.
#[must_use]
pub fn with_data(event: &[u8], data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(event.len() + data.len());
    let mut written = false;
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()) {
        if line.starts_with(b"data:") || line == b"data" {
            if written {
                continue;
            }
            written = true;
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(data);
        } else {
            out.extend_from_slice(line);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]], limit: usize) -> Result<(Vec<Bytes>, Bytes), TooLarge> {
        let mut splitter = Splitter::new(limit);
        let mut events = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            while let Some(event) = splitter.next_event()? {
                events.push(event);
            }
        }
        Ok((events, splitter.rest()))
    }

    #[test]
    fn given_all_kinds_of_line_ends_when_split_then_each_event_is_whole() {
        let (events, rest) =
            split(&[b"data: a\n\nid: 1\r\ndata: b\r\n\r\n: hi\r\rdata: c\n\nda"], 100).unwrap();
        assert_eq!(events.len(), 4);
        assert_eq!(
            events.iter().map(|event| data(event).into_owned()).collect::<Vec<_>>(),
            [&b"a"[..], b"b", b"", b"c"]
        );
        assert_eq!(rest, "da");
    }

    #[test]
    fn given_a_byte_order_mark_in_any_pieces_then_the_first_event_is_read_as_clients_read_it() {
        for pieces in [&[&b"\xef\xbb\xbfdata: a\n\n"[..]][..], &[b"\xef", b"\xbb\xbfda", b"ta: a\n\n"]] {
            let (events, _) = split(pieces, 100).unwrap();
            assert_eq!(events, ["data: a\n\n"]);
        }
    }

    #[test]
    fn given_an_event_without_end_when_it_passes_the_limit_then_it_is_refused() {
        assert_eq!(split(&[b"data: aaaaaaaa", b"aaaaaaaa"], 20), Err(TooLarge { limit: 20 }));
        assert_eq!(split(&[b"data: aaaa"], 10), Ok((vec![], "data: aaaa".into())), "at the limit");
    }

    #[test]
    fn given_a_whole_event_when_it_passes_the_limit_then_it_is_refused() {
        let event = b"data: aaaa\n\n";
        assert_eq!(split(&[event], 11), Err(TooLarge { limit: 11 }));
        assert_eq!(split(&[event, event], 12).unwrap().0, [&event[..], event], "each is at the limit");
    }

    #[test]
    fn given_an_incomplete_event_then_only_its_bytes_stay_buffered() {
        let mut splitter = Splitter::new(100);
        assert_eq!(splitter.buffered(), 0);
        splitter.push(b"data: a\n\ndata:");
        assert_eq!(splitter.next_event().unwrap().unwrap(), "data: a\n\n");
        assert_eq!(splitter.buffered(), 5);
        assert_eq!(splitter.next_event(), Ok(None));
        assert_eq!(splitter.buffered(), 5);
        splitter.push(b" b\n\n");
        assert_eq!(splitter.next_event().unwrap().unwrap(), "data: b\n\n");
        assert_eq!(splitter.buffered(), 0);
    }

    /// A CR may be a whole line end or half of one; the client waits for neither.
    #[test]
    fn given_a_cr_at_the_end_of_a_read_then_an_event_ends_only_at_an_empty_line() {
        for (pieces, expected) in [
            (&[&b"data: a\n\r"[..]][..], &["data: a\n\r"][..]),
            (&[b"data: a\r\r"], &["data: a\r\r"]),
            (&[b"data: a\r\n\r", b"\ndata: b\n\n"], &["data: a\r\n\r", "\ndata: b\n\n"]),
            (&[b"data: a\r", b"\ndata: b\r", b"\n\r\n"], &["data: a\r\ndata: b\r\n\r\n"]),
        ] {
            let (events, rest) = split(pieces, 100).unwrap();
            assert_eq!(events, expected);
            assert_eq!(rest, "");
        }
    }

    #[test]
    fn given_a_line_then_only_the_field_named_data_counts() {
        for (event, expected) in [
            ("data:x\n\n", "x"),
            ("data: x\n\n", "x"),
            ("data:  x\n\n", " x"),
            ("data\ndata: x\n\n", "\nx"),
            ("data: x\ndata\n\n", "x\n"),
            ("data\n\n", ""),
            ("data : x\n\n", ""),
            ("database: x\n\n", ""),
            ("Data: x\n\n", ""),
            (" data: x\n\n", ""),
            (": data: x\n\n", ""),
        ] {
            assert_eq!(&*data(event.as_bytes()), expected.as_bytes(), "{event:?}");
        }
    }

    #[test]
    fn given_data_on_several_lines_when_read_and_replaced_then_other_fields_stay() {
        let event = b"id: 7\r\nevent: message\r\ndata: {\r\ndata:}\r\nretry: 5\r\n\r\n";
        assert_eq!(&*data(event), b"{\n}");
        assert_eq!(with_data(event, b"[]"), "id: 7\nevent: message\ndata: []\nretry: 5\n\n");
    }

    proptest! {
        #[test]
        fn given_any_stream_when_split_in_any_pieces_then_no_byte_is_lost_and_the_cut_does_not_matter(
            text in "(data: [ab]{0,3}|:|id: 1|)((\n|\r\n|\r){1,3}(data: [ab]{0,3}|:|id: 1|)){0,6}", cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let (events, rest) = split(&pieces, 1000).unwrap();
            let mut joined: Vec<u8> = events.concat();
            joined.extend_from_slice(&rest);
            prop_assert_eq!(joined, text.as_bytes());
            let datas = |events: &[Bytes]| events.iter().map(|event| data(event).into_owned()).filter(|data| !data.is_empty()).collect::<Vec<_>>();
            let (whole, _) = split(&[text.as_bytes()], 1000).unwrap();
            prop_assert_eq!(datas(&events), datas(&whole));
        }
    }
}
