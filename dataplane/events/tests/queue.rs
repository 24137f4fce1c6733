//! The queue under load: what is dropped, what is counted, and what is kept.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use portcullis_clock::UnixMillis;
use portcullis_events::{Event, EventKind, EventSink, Outcome};
use serde_json::Value;

const CAPACITY: usize = 32 << 20;

/// An output that blocks until the test lets it write.
struct Blocked {
    released: Receiver<()>,
    lines: Vec<u8>,
    done: Sender<Vec<u8>>,
}

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // After the sender is gone, everything is written at once.
        self.released.recv().ok();
        self.lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.done.send(std::mem::take(&mut self.lines)).ok();
    }
}

/// A sink whose output is blocked until the returned sender is dropped.
fn blocked() -> (EventSink, Sender<()>, Receiver<Vec<u8>>) {
    let (sink, writer) = EventSink::new();
    let (release, released) = channel();
    let (done, lines) = channel();
    std::thread::spawn(move || writer.run(Blocked { released, lines: Vec::new(), done }));
    (sink, release, lines)
}

fn read(lines: &[u8]) -> Vec<Value> {
    std::str::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn written(sink: EventSink, release: Sender<()>, lines: &Receiver<Vec<u8>>) -> Vec<Value> {
    drop((sink, release));
    read(&lines.recv_timeout(Duration::from_secs(20)).unwrap())
}

/// A refused anonymous request.
fn anonymous(time: i64, reason: &'static str) -> Event {
    let mut event = Event::new(UnixMillis(time), EventKind::Unauthenticated, Outcome::Denied);
    event.reason = Some(reason);
    event
}

fn of_ana(kind: EventKind) -> Event {
    let mut event = Event::new(UnixMillis(0), kind, Outcome::Success);
    event.subject = Some("company:ana".into());
    event
}

/// An anonymous event that is never counted instead of recorded, because it succeeded.
fn registration() -> Event {
    let mut event = Event::new(UnixMillis(0), EventKind::Unauthenticated, Outcome::Success);
    event.message = Some("x".repeat(2000).into());
    event
}

#[test]
fn given_recorded_events_when_the_sinks_are_gone_then_the_writer_has_written_a_line_for_each() {
    let (sink, writer) = EventSink::new();
    for _ in 0..3 {
        sink.record(Event::new(UnixMillis(1_700_000_000_123), EventKind::McpRequest, Outcome::Success));
    }
    drop(sink);
    let mut out = Vec::new();
    writer.run(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert_eq!(
        text.lines().next().unwrap(),
        r#"{"time":"2023-11-14T22:13:20.123Z","event":"mcp.request","outcome":"success"}"#
    );
}

#[test]
fn given_refused_strangers_and_a_blocked_writer_then_no_event_of_a_principal_is_lost() {
    let (sink, release, lines) = blocked();
    for number in 0..200_000_i64 {
        sink.record(anonymous(number / 20, "unauthenticated"));
        if number % 100 == 0 {
            sink.record(of_ana(EventKind::McpCapability));
            sink.record(of_ana(EventKind::Consent));
        }
    }
    assert_eq!(sink.dropped(), 0);
    let events = written(sink, release, &lines);
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((count("mcp.capability"), count("auth.consent")), (2000, 2000));
    let refused = events.iter().filter(|event| event["event"] == "auth.unauthenticated");
    let all: u64 = refused.map(|event| event["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(all, 200_000, "each refusal is recorded or counted");
}

#[test]
fn given_a_full_queue_then_each_class_keeps_room_for_the_next_and_memory_is_bounded() {
    let (sink, release, lines) = blocked();
    let fill = |event: fn() -> Event| {
        let before = sink.dropped();
        while sink.dropped() == before {
            sink.record(event());
        }
        assert!(sink.queued_bytes() <= CAPACITY);
        sink.queued_bytes()
    };
    fill(registration);
    assert_eq!((sink.dropped(), sink.dropped_anonymous()), (1, 1));
    assert!(!sink.is_overloaded());
    let mut kept = 0;
    let requests = fill(|| of_ana(EventKind::McpCapability));
    assert!(sink.is_overloaded());
    for _ in 0..1000 {
        sink.record(of_ana(EventKind::AdminRevoked));
        kept += 1;
    }
    assert!(sink.queued_bytes() > requests);
    assert_eq!((sink.dropped(), sink.dropped_anonymous()), (2, 1));
    fill(|| of_ana(EventKind::AdminRevoked));
    let events = written(sink, release, &lines);
    assert!(events.iter().filter(|event| event["event"] == "admin.revoked").count() > kept);
}

#[test]
fn given_failures_above_the_rate_then_there_is_one_event_per_second_and_reason() {
    let (sink, writer) = EventSink::new();
    for second in [1, 2, 3] {
        for _ in 0..100 {
            sink.record(anonymous(second * 1000, "first"));
        }
        for number in 0..50 {
            sink.record(anonymous(second * 1000 + number, "unauthenticated"));
            sink.record(anonymous(second * 1000 + number, "insufficient_scope"));
        }
    }
    assert_eq!(sink.counted(), 300);
    drop(sink);
    let mut out = Vec::new();
    writer.run(&mut out).unwrap();
    let events = read(&out);
    let mut summaries: Vec<_> = events
        .iter()
        .filter(|event| event.get("count").is_some())
        .map(|event| (event["time"].as_str().unwrap(), event["reason"].as_str().unwrap(), &event["count"]))
        .collect();
    summaries.sort_by_key(|(time, reason, _)| (*time, *reason));
    let each = |second| {
        ["insufficient_scope", "unauthenticated"].map(move |reason| (second, reason, Value::from(50)))
    };
    let expected: Vec<_> =
        ["1970-01-01T00:00:01.049Z", "1970-01-01T00:00:02.049Z", "1970-01-01T00:00:03.049Z"]
            .into_iter()
            .flat_map(each)
            .collect();
    assert_eq!(summaries, expected.iter().map(|(a, b, c)| (*a, *b, c)).collect::<Vec<_>>());
    assert_eq!(events.len(), 306);
}

#[test]
fn given_counted_failures_when_no_more_come_then_the_summary_is_written_while_others_continue() {
    let (sink, release, lines) = blocked();
    drop(release);
    for _ in 0..150 {
        sink.record(anonymous(0, "unauthenticated"));
    }
    let started = Instant::now();
    while !sink.is_idle() || started.elapsed() < Duration::from_millis(1200) {
        assert!(started.elapsed() < Duration::from_secs(10), "the summary is late");
        sink.record(of_ana(EventKind::McpRequest));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(sink.recorded() > 101);
    drop(sink);
    let events = read(&lines.recv_timeout(Duration::from_secs(20)).unwrap());
    assert_eq!(events.iter().filter(|event| event["count"] == 50).count(), 1);
}

#[test]
fn given_a_backlog_then_it_is_written_without_delay() {
    let (sink, release, lines) = blocked();
    // About 20 MB: 300 blocks, which took 1.5 s when the writer slept before each.
    for _ in 0..8000 {
        let mut event = of_ana(EventKind::McpCapability);
        event.message = Some("x".repeat(2400).into());
        sink.record(event);
    }
    assert_eq!(sink.dropped(), 0);
    let started = Instant::now();
    assert_eq!(written(sink, release, &lines).len(), 8000);
    println!("20 MB of backlog were written in {:?}", started.elapsed());
}

#[test]
fn given_a_writer_that_fails_then_events_are_counted_as_dropped_and_the_queue_is_overloaded() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sink, writer) = EventSink::new();
    sink.record(of_ana(EventKind::McpRequest));
    assert!(writer.run(Broken).is_err());
    sink.record(of_ana(EventKind::McpRequest));
    assert_eq!(sink.dropped(), 1);
    assert!(sink.is_overloaded() && sink.is_idle());
}

/// Whatever texts are in it, an event has at most this size.
#[test]
fn given_long_texts_then_the_line_is_bounded() {
    let long = "\u{1}".repeat(100_000);
    let mut event = of_ana(EventKind::McpCapability);
    for text in [&mut event.target, &mut event.method, &mut event.capability, &mut event.protocol_version] {
        *text = Some(long.as_str().into());
    }
    for text in [&mut event.message, &mut event.session, &mut event.trace_id] {
        *text = Some(long.as_str().into());
    }
    for text in [&mut event.gateway, &mut event.route, &mut event.origin, &mut event.subject] {
        *text = Some(long.as_str().into());
    }
    for text in [&mut event.client_id, &mut event.client_name] {
        *text = Some(long.as_str().into());
    }
    event.teams = Some(vec![long.as_str().into(); 1000].into());
    let (sink, _writer) = EventSink::new();
    sink.record(event);
    assert!(sink.queued_bytes() < 24 << 10, "{}", sink.queued_bytes());
}
