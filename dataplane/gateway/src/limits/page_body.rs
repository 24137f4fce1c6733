//! The body of a request to a page or an OAuth endpoint. It is read when the handler reads it, with the limits of
//! all bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::memory::MemoryLease;
use super::request_body::{BodyError, WholeBody, read_whole};

/// Maximum size that is read. Handlers have lower limits, and respond to larger bodies themselves.
const MAX_BYTES: usize = 128 * 1024;

type Reading = Pin<Box<dyn Future<Output = Result<WholeBody, BodyError>> + Send>>;

/// A body that arrives as one piece.
pub(crate) struct PageBody {
    length: SizeHint,
    reading: Option<Reading>,
    outcome: Arc<PageBodyOutcome>,
}

/// What became of a [`PageBody`], for the code that responds.
#[derive(Default)]
pub(crate) struct PageBodyOutcome {
    failure: Mutex<Option<BodyError>>,
    /// Memory of the body, until the response.
    memory: Mutex<Option<MemoryLease>>,
}

impl PageBodyOutcome {
    /// Why the body was not read.
    pub(crate) fn failure(&self) -> Option<BodyError> {
        *self.failure.lock()
    }
}

impl PageBody {
    pub(crate) fn new(incoming: Incoming, memory: MemoryLease) -> (Self, Arc<PageBodyOutcome>) {
        let length = incoming.size_hint();
        let outcome = Arc::<PageBodyOutcome>::default();
        let reading =
            (!incoming.is_end_stream()).then(|| Box::pin(read_whole(incoming, MAX_BYTES, memory)) as Reading);
        (Self { length, reading, outcome: Arc::clone(&outcome) }, outcome)
    }
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        Poll::Ready(Some(match read {
            Ok(WholeBody { bytes, memory }) => {
                *self.outcome.memory.lock() = Some(memory);
                Ok(Frame::data(bytes))
            }
            Err(error) => {
                *self.outcome.failure.lock() = Some(error);
                Err(error)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.reading.is_some() { self.length } else { SizeHint::with_exact(0) }
    }
}
