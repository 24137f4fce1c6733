//! Reads request bodies: whole, at a minimum rate, and within the memory for requests.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::memory::{MemoryExceeded, MemoryLease};

/// Time to send the first bytes of a body. A body may be late by this much.
const GRACE: Duration = Duration::from_secs(10);
/// Minimum rate of a body after that, in bytes per second.
const MIN_BYTES_PER_SECOND: u64 = 1024;
/// Deadline for a whole body.
const DEADLINE: Duration = Duration::from_secs(60);

/// A request body, and the memory that it uses.
pub(crate) struct WholeBody {
    pub(crate) bytes: Bytes,
    /// Counts the bytes until it is dropped.
    pub(crate) memory: MemoryLease,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is too large")]
    TooLarge,
    /// The connection was closed, or the framing is invalid.
    #[error("the body is incomplete")]
    Incomplete,
    #[error("the body arrived too slowly")]
    TooSlow,
    #[error("the gateway has no memory for the body")]
    NoMemory,
}

impl From<MemoryExceeded> for BodyError {
    fn from(MemoryExceeded: MemoryExceeded) -> Self {
        Self::NoMemory
    }
}

/// Reads a whole request body of at most `limit` bytes.
pub(crate) async fn read_whole(
    body: impl Body<Data = Bytes>,
    limit: usize,
    memory: MemoryLease,
) -> Result<WholeBody, BodyError> {
    let started = Instant::now();
    buffer(body, limit, memory, |length| Some(deadline(started, length))).await
}

/// Reads a whole body of at most `limit` bytes. `deadline` says when more than so many bytes must have arrived.
///
/// Memory is used as bytes arrive, whatever length the sender announced. Pieces are copied together: a list of
/// small pieces would use a multiple of their size.
pub(crate) async fn buffer(
    body: impl Body<Data = Bytes>,
    limit: usize,
    mut memory: MemoryLease,
    deadline: impl Fn(usize) -> Option<Instant>,
) -> Result<WholeBody, BodyError> {
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let length = first.len() + rest.len();
        let frame = match deadline(length) {
            Some(deadline) => timeout_at(deadline, body.frame()).await.map_err(|_| BodyError::TooSlow)?,
            None => body.frame().await,
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
        if data.len() > limit - length {
            return Err(BodyError::TooLarge);
        }
        // Most bodies arrive in one piece, which is not copied.
        if length == 0 && body.is_end_stream() {
            memory.grow(data.len())?;
            first = data;
            continue;
        }
        let needed = rest.len() + data.len();
        if needed > rest.capacity() {
            let capacity = needed.next_power_of_two().min(limit).max(needed);
            memory.grow(capacity - rest.capacity())?;
            rest.reserve(capacity - rest.len());
        }
        rest.extend_from_slice(&data);
    }
    Ok(WholeBody { bytes: if rest.is_empty() { first } else { rest.freeze() }, memory })
}

/// When a body must have more than `length` bytes.
fn deadline(started: Instant, length: usize) -> Instant {
    let earned = Duration::from_millis((length as u64).saturating_mul(1000) / MIN_BYTES_PER_SECOND);
    started + GRACE.saturating_add(earned).min(DEADLINE)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use tokio::time::{Sleep, sleep};

    use super::super::memory::{MemoryLimits, RequestMemory};
    use super::*;

    /// A body whose pieces arrive at an interval. It ends after the last, or is held open.
    struct Pieces {
        pieces: VecDeque<Bytes>,
        interval: Duration,
        next: Pin<Box<Sleep>>,
        held: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            std::task::ready!(self.next.as_mut().poll(cx));
            if self.pieces.is_empty() {
                return if self.held { Poll::Pending } else { Poll::Ready(None) };
            }
            let at = Instant::now() + self.interval;
            self.next.as_mut().reset(at);
            Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
        }

        fn is_end_stream(&self) -> bool {
            self.pieces.is_empty() && !self.held
        }
    }

    fn pieces(count: usize, size: usize, interval: Duration, held: bool) -> Pieces {
        let pieces = (0..count).map(|_| Bytes::from(vec![b'x'; size])).collect();
        Pieces { pieces, interval, next: Box::pin(sleep(Duration::ZERO)), held }
    }

    fn memory(total: usize) -> RequestMemory {
        RequestMemory::new(MemoryLimits { total })
    }

    async fn read(body: Pieces, limit: usize) -> (Result<usize, BodyError>, Duration) {
        let started = Instant::now();
        let read = read_whole(body, limit, memory(64 << 20).anonymous()).await;
        (read.map(|whole| whole.bytes.len()), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_body_that_is_held_then_it_is_given_up_at_the_deadline_of_what_has_arrived() {
        for (sent, seconds) in [(0, 10), (1, 10), (10 * 1024, 20), (1 << 20, 60)] {
            let body = pieces(1, sent, Duration::ZERO, true);
            let (read, waited) = read(body, 4 << 20).await;
            assert_eq!((read, waited.as_secs()), (Err(BodyError::TooSlow), seconds), "{sent}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn given_a_body_that_drips_then_it_is_given_up_and_a_slow_one_is_read() {
        let (read_dripping, waited) = read(pieces(1000, 1, Duration::from_millis(500), false), 4 << 20).await;
        assert_eq!((read_dripping, waited.as_secs()), (Err(BodyError::TooSlow), 10));
        let (read_slow, _) = read(pieces(40, 1100, Duration::from_secs(1), false), 4 << 20).await;
        assert_eq!(read_slow, Ok(44_000));
        let (read_long, waited) = read(pieces(70, 2000, Duration::from_secs(1), false), 4 << 20).await;
        assert_eq!((read_long, waited.as_secs()), (Err(BodyError::TooSlow), 60));
    }

    #[tokio::test]
    async fn given_a_body_then_its_size_is_limited_and_its_pieces_are_put_together() {
        for (count, size) in [(0, 0), (1, 100), (100, 1), (3, 33)] {
            assert_eq!(read(pieces(count, size, Duration::ZERO, false), 100).await.0, Ok(count * size));
        }
        for (count, size) in [(1, 101), (101, 1), (2, 51)] {
            let body = pieces(count, size, Duration::ZERO, false);
            assert_eq!(read(body, 100).await.0, Err(BodyError::TooLarge), "{count} {size}");
        }
    }

    #[tokio::test]
    async fn given_many_bodies_then_their_memory_is_limited_and_returned() {
        let memory = memory(4096);
        let body = || pieces(10, 50, Duration::ZERO, false);
        let first = read_whole(body(), 1000, memory.anonymous()).await.ok().unwrap();
        assert_eq!((first.bytes.len(), memory.bytes()), (500, 512));
        let second = read_whole(body(), 1000, memory.anonymous()).await;
        let third = read_whole(body(), 1000, memory.anonymous()).await;
        assert!(second.is_ok());
        assert_eq!(third.err(), Some(BodyError::NoMemory));
        drop((first, second));
        assert_eq!(memory.bytes(), 0);
    }
}
