//! An origin's stream of events, cut anywhere: no byte is lost, where it is cut does not matter, and its data are those that the
//! HTML standard reads (section 9.2.6).

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_mcp::sse::{Splitter, data, with_data};

const LIMIT: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((cut, stream)) = input.split_first() else { return };
    if stream.len() > LIMIT {
        return;
    }
    let (head, tail) = stream.split_at(usize::from(*cut).min(stream.len()));
    let (whole, cut) = (split(&[stream]), split(&[head, tail]));
    let joined = |(events, rest): &(Vec<Vec<u8>>, Vec<u8>)| [events.concat(), rest.clone()].concat();
    let unmarked = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    assert_eq!(joined(&whole), unmarked);
    assert_eq!(joined(&cut), unmarked);
    assert_eq!(datas(&whole.0), datas(&cut.0));
    if let Ok(text) = std::str::from_utf8(unmarked) {
        assert_eq!(datas(&whole.0), reference(text));
    }
    for event in &whole.0 {
        if !data(event).is_empty() {
            assert_eq!(&*data(&with_data(event, b"{}")), b"{}");
        }
    }
});

fn split(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut splitter = Splitter::new(LIMIT);
    let mut events = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        while let Some(event) = splitter.next_event().expect("it is within the limit") {
            events.push(event.to_vec());
        }
    }
    let rest = splitter.rest().to_vec();
    (events, rest)
}

fn datas(events: &[Vec<u8>]) -> Vec<Vec<u8>> {
    events.iter().map(|event| data(event).into_owned()).filter(|data| !data.is_empty()).collect()
}

/// As a client reads it: lines, then fields, then an event at each empty line.
fn reference(stream: &str) -> Vec<Vec<u8>> {
    let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut data) = (Vec::new(), String::new());
    let mut lines: Vec<&str> = lines.split('\n').collect();
    // What follows the last line end is no line yet.
    lines.pop();
    for line in lines {
        match line.split_once(':').unwrap_or((line, "")) {
            _ if line.is_empty() => {
                if data.len() > 1 {
                    data.pop();
                    events.push(std::mem::take(&mut data).into_bytes());
                }
                data.clear();
            }
            ("data", value) => {
                data.push_str(value.strip_prefix(' ').unwrap_or(value));
                data.push('\n');
            }
            _ => {}
        }
    }
    events
}
