//! Errors of requests that exceed a limit of the gateway.

use http::header::{CONNECTION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use portcullis_mcp::error::code;
use serde_json::value::RawValue;

use super::PipelineError;
use crate::limits::TooMany;

impl PipelineError {
    /// The rest of the body may still arrive, so the connection is not reused.
    pub(in crate::pipeline) fn request_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            code::INVALID_REQUEST,
            "request_timeout",
            "The request body arrived too slowly. Send it at 1 kB per second or faster, and within 60 seconds.",
        )
        .with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    pub(in crate::pipeline) fn no_memory(id: Option<&RawValue>) -> Self {
        Self::unavailable(
            "overloaded",
            "The gateway is processing too many large messages. Try again in a few seconds.",
        )
        .with_id(id)
    }

    pub(in crate::pipeline) fn too_many(id: Option<&RawValue>, limit: TooMany) -> Self {
        let error = match limit {
            TooMany::Requests => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                code::GATEWAY,
                "too_many_requests",
                "You have too many requests in progress. Wait until some of them have ended, then try again.",
            ),
            TooMany::Streams => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                code::GATEWAY,
                "too_many_streams",
                "You have too many streams open. Close streams that you no longer use, then try again.",
            ),
            TooMany::AllStreams => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                code::GATEWAY,
                "too_many_streams",
                "The gateway has too many open streams. Try again later, or continue without a stream.",
            ),
        };
        error.with_header(RETRY_AFTER, HeaderValue::from_static("5")).with_id(id)
    }

    pub(in crate::pipeline) fn events_overloaded() -> Self {
        Self::unavailable(
            "events_overloaded",
            "The gateway cannot record audit events fast enough, so it refuses requests. Try again shortly. If it \
             keeps failing, contact an administrator.",
        )
    }
}
