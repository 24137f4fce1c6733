use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

/// So much of a refused request is read for the sake of its connection.
const DISCARD_LIMIT: usize = 256 * 1024;
/// For so long.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the rest of a refused request, within bounds. A connection with an unread body cannot be used again, and a client that
/// finds it closed takes that for a failure of its next request.
pub(crate) async fn discard(body: Incoming) {
    let rest = Limited::new(body, DISCARD_LIMIT);
    let mut rest = std::pin::pin!(rest);
    let read = async { while let Some(Ok(_)) = rest.frame().await {} };
    tokio::time::timeout(DISCARD_TIMEOUT, read).await.ok();
}
