//! Sends requests to an origin on the gateway's own behalf, with the caller's credential: the transport of the
//! MCP client. A rejected credential is renewed as for the caller's own requests, and the waiting time counts as
//! the origin's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use portcullis_mcp::client::{Client, ClientError, Session, Transport};
use portcullis_origin_auth::Credential;
use tokio::time::{Instant, timeout_at};

use super::Context;
use super::audit_record::AuditRecord;
use super::credential::NoAccess;
use super::error::PipelineError;
use super::forward::{ForwardOutcome, Forwarder};
use super::parse::Parsed;
use crate::upstream::{ConnectionLease, OriginResponse, UpstreamPool};

/// Sends requests for one caller to the origin of the caller's route.
pub(super) struct OriginTransport<'a> {
    forwarder: Forwarder<'a>,
    parsed: &'a Parsed<'a>,
    credential: Credential,
    record: &'a mut AuditRecord,
    /// Deadline for the body of the last response. Its head has the same time before.
    deadline: Instant,
}

/// The unread part of a response.
pub(super) struct UnreadBody {
    incoming: Incoming,
    lease: Option<ConnectionLease>,
}

impl<'a> OriginTransport<'a> {
    /// Creates an MCP client. `id` is the JSON-RPC id of its first request.
    pub(super) fn client(
        context: &'a Arc<Context>,
        upstreams: &'a Arc<UpstreamPool>,
        parsed: &'a Parsed<'a>,
        (session, id): (Session, &'static str),
        credential: Credential,
        record: &'a mut AuditRecord,
    ) -> Client<Self> {
        let limit = parsed.authenticated().route().origin.limits.response_bytes;
        let forwarder = Forwarder::new(context, upstreams, parsed.authenticated(), parsed.id());
        let transport = Self { forwarder, parsed, credential, record, deadline: Instant::now() };
        Client::new(transport, session, id, usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// The credential, which may have been renewed.
    pub(super) fn into_credential(self) -> Credential {
        self.credential
    }

    fn timeout_ms(&self) -> u64 {
        self.parsed.authenticated().route().origin.limits.request_timeout_ms
    }
}

impl Transport for OriginTransport<'_> {
    type Body = UnreadBody;
    type Error = NoAccess;

    async fn send(&mut self, request: Request<Bytes>) -> Result<Response<UnreadBody>, NoAccess> {
        match self.forwarder.send(&request, &mut self.credential, self.record).await? {
            ForwardOutcome::OriginResponse(OriginResponse { response, lease }) => {
                self.deadline = Instant::now() + Duration::from_millis(self.timeout_ms());
                Ok(response.map(|incoming| UnreadBody::new(incoming, lease)))
            }
            ForwardOutcome::ConnectRequired(lack) => Err(NoAccess::ConnectRequired(lack)),
        }
    }

    async fn chunk(&mut self, body: &mut UnreadBody) -> Result<Option<Bytes>, NoAccess> {
        let started = Instant::now();
        let next = timeout_at(self.deadline, body.next()).await;
        self.record.add_upstream_time(started.elapsed());
        let id = self.parsed.id();
        let next = next.map_err(|_| PipelineError::upstream_timeout(id, self.timeout_ms()))?;
        Ok(next.map_err(|error| PipelineError::response_interrupted(id, &error))?)
    }
}

impl UnreadBody {
    fn new(incoming: Incoming, lease: ConnectionLease) -> Self {
        let mut body = Self { incoming, lease: Some(lease) };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    async fn next(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        while let Some(frame) = self.incoming.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        self.release();
        Ok(None)
    }

    /// Returns the connection to the pool.
    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }
}

/// A failed request of the gateway, as the failure of the caller's request.
pub(super) fn failure(error: ClientError<NoAccess>, parsed: &Parsed<'_>) -> NoAccess {
    match error {
        ClientError::Transport(error) => error,
        ClientError::TooLarge { limit } => {
            PipelineError::response_too_large(parsed.id(), limit as u64).into()
        }
    }
}
