//! Sends one request to an origin and reads its response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use portcullis_origin_auth::Credential;
use portcullis_policy::Origin;
use secrecy::ExposeSecret as _;
use serde_json::value::RawValue;

use super::audit_record::AuditRecord;
use super::error::PipelineError;
use crate::limits::{BodyError, MemoryLease, WholeBody, buffer};
use crate::upstream::{OriginResponse, UpstreamPool};

/// Sends one request. The origin's request timeout applies until the response headers arrive.
pub(super) async fn send(
    upstreams: &Arc<UpstreamPool>,
    origin: &Arc<Origin>,
    request: Request<Full<Bytes>>,
    id: Option<&RawValue>,
    record: &mut AuditRecord,
) -> Result<OriginResponse, PipelineError> {
    let limit = origin.limits.request_timeout_ms;
    let sent = Instant::now();
    let answer = tokio::time::timeout(Duration::from_millis(limit), upstreams.send(origin, request)).await;
    record.add_upstream_time(sent.elapsed());
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(PipelineError::upstream_failed(id, &error)),
        Err(_) => Err(PipelineError::upstream_timeout(id, limit)),
    }
}

/// Reads a complete response body of at most `limit` bytes. `memory` counts them.
pub(super) async fn collect(
    incoming: Incoming,
    limit: u64,
    memory: MemoryLease,
    id: Option<&RawValue>,
) -> Result<WholeBody, PipelineError> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    buffer(incoming, most, memory, |_| None).await.map_err(|error| match error {
        BodyError::TooLarge => PipelineError::response_too_large(id, limit),
        BodyError::NoMemory => PipelineError::no_memory(id),
        BodyError::Incomplete | BodyError::TooSlow => PipelineError::response_interrupted(id, &error),
    })
}

/// Adds the credential to a request.
///
/// *Architecture invariant:* this is the only place where a credential enters a request to an origin.
pub(super) fn apply_credential<B>(request: &mut Request<B>, credential: &Credential) {
    if let Some(target) = credential.target().and_then(|target| target.expose_secret().parse().ok()) {
        *request.uri_mut() = target;
    }
    if let Some((name, value)) = credential.header() {
        request.headers_mut().insert(name.clone(), value.clone());
    }
}
