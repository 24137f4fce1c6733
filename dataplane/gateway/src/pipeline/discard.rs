//! Drains the body of a rejected request, so its connection can be reused.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

/// Maximum number of bytes to read from a rejected request.
const DISCARD_LIMIT: usize = 256 * 1024;
/// Maximum time to read a rejected request.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the rest of a rejected request, within limits. A connection with an unread body cannot be reused,
/// and a client would report the closed connection as a failure of its next request.
pub(crate) async fn discard(body: Incoming) {
    let rest = Limited::new(body, DISCARD_LIMIT);
    let mut rest = std::pin::pin!(rest);
    let read = async { while let Some(Ok(_)) = rest.frame().await {} };
    tokio::time::timeout(DISCARD_TIMEOUT, read).await.ok();
}
