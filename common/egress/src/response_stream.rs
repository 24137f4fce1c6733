//! HTTP responses whose body is read in pieces.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::{EgressError, RequestFailure};

/// A response with an unread body. Dropping it closes the connection or the HTTP/2 stream.
pub struct ResponseStream {
    /// Status. Redirects are returned, not followed.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    pub(crate) body: Incoming,
    pub(crate) deadline: Deadline,
}

/// When a request to a host must be complete.
pub(crate) struct Deadline {
    pub(crate) host: String,
    within: Duration,
    at: Instant,
}

impl Deadline {
    pub(crate) fn new(host: String, within: Duration) -> Self {
        Self { host, within, at: Instant::now() + within }
    }

    pub(crate) async fn apply<T>(&self, doing: impl Future<Output = T>) -> Result<T, EgressError> {
        let timeout = |_| EgressError::no_response(&self.host, RequestFailure::ResponseTimeout(self.within));
        timeout_at(self.at, doing).await.map_err(timeout)
    }
}

impl ResponseStream {
    /// Returns the next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection fails, or the deadline of the request passes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, EgressError> {
        while let Some(frame) = self.deadline.apply(self.body.frame()).await? {
            let frame = frame.map_err(|error| EgressError::from_request_error(&self.deadline.host, error))?;
            // Trailers carry nothing that a caller needs.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads the whole body.
    pub(crate) async fn read(&mut self, limit: usize) -> Result<Bytes, EgressError> {
        let too_large = EgressError::TooLarge { host: self.deadline.host.clone(), limit };
        let announced = self.body.size_hint().lower();
        if usize::try_from(announced).map_or(true, |length| length > limit) {
            return Err(too_large);
        }
        let mut whole = BytesMut::new();
        while let Some(data) = self.chunk().await? {
            if whole.len() + data.len() > limit {
                return Err(too_large);
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }
}
