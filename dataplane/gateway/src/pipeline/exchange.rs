//! One request to an origin and its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use portcullis_policy::Origin;
use portcullis_vault::Credential;
use portcullis_wire::header::SESSION_ID;
use secrecy::ExposeSecret as _;
use serde_json::value::RawValue;

use super::record::Record;
use super::refusal::Refusal;
use crate::upstream::{Answer, Upstreams};

/// Sends one request within the origin's time limit, which counts until the answer begins.
pub(super) async fn send(
    upstreams: &Arc<Upstreams>,
    origin: &Arc<Origin>,
    request: Request<Full<Bytes>>,
    id: Option<&RawValue>,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let limit = origin.limits.request_timeout_ms;
    let sent = Instant::now();
    let answer = tokio::time::timeout(Duration::from_millis(limit), upstreams.send(origin, request)).await;
    record.waited(sent.elapsed());
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Refusal::upstream_failed(id, &error)),
        Err(_) => Err(Refusal::upstream_timeout(id, limit)),
    }
}

/// Reads an answer whole.
pub(super) async fn collect(incoming: Incoming, limit: u64, id: Option<&RawValue>) -> Result<Bytes, Refusal> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(incoming, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::answer_too_large(id, limit))
        }
        Err(error) => Err(Refusal::answer_broken_off(id, &*error)),
    }
}

/// Whether an answer is a stream of events.
pub(super) fn is_events(headers: &HeaderMap) -> bool {
    let Some(media) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Puts the session and the credential into a request.
///
/// *Architecture invariant:* the only place where a credential enters a request to an origin.
pub(super) fn arm<B>(request: &mut Request<B>, origin_session: Option<&str>, credential: &Credential) {
    if let Some(target) = credential.target().and_then(|target| target.expose_secret().parse().ok()) {
        *request.uri_mut() = target;
    }
    let headers = request.headers_mut();
    if let Some(session) = origin_session.and_then(|session| session.parse().ok()) {
        headers.insert(SESSION_ID, session);
    }
    if let Some((name, value)) = credential.header() {
        headers.insert(name.clone(), value.clone());
    }
}
