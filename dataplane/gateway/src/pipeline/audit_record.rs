//! The audit event of a request: created at the start, filled by the steps and recorded at the end, even if
//! the request is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, StatusCode};
use portcullis_authorization_server::Caller;
use portcullis_clock::Clock;
use portcullis_events::{AuthMode, CapabilityKind, Event, EventKind, EventSink, FailureOrigin, Outcome};
use portcullis_mcp::header::PROTOCOL_VERSION;
use portcullis_mcp::message::Message;
use portcullis_mcp::method::Method;
use portcullis_mcp::response::ResponseOutcome;
use portcullis_policy::{Route, RouteAccess, RouteTable};

use super::Context;
use crate::limits::{RequestPermit, TooMany};

/// Maximum length of a text in an event, in bytes. Clients choose these texts.
const MAX_TEXT_LEN: usize = 512;

/// A pending event. `None` inside if it is recorded, moved or disabled.
pub(crate) struct AuditRecord(Option<Box<PendingEvent>>);

struct PendingEvent {
    event: Event,
    started: Instant,
    upstream: Duration,
    /// The client has received its response or opened an open-ended stream, so a disconnect is no error.
    answered: bool,
    events: EventSink,
    clock: Clock,
    /// The principal's request in progress. It ends with the record.
    permit: Option<RequestPermit>,
}

impl AuditRecord {
    pub(super) fn new(context: &Context, request: &Request<impl Sized>) -> Self {
        let mut event = Event::new(context.clock.now(), EventKind::McpRequest, Outcome::Success);
        event.trace_id = trace_id(request.headers());
        if request.method() != http::Method::POST {
            event.method = Some(request.method().as_str().into());
        }
        Self(Some(Box::new(PendingEvent {
            event,
            started: Instant::now(),
            upstream: Duration::ZERO,
            answered: false,
            events: context.events.clone(),
            clock: context.clock.clone(),
            permit: None,
        })))
    }

    /// Moves the event into a new record, for a body that outlives the steps. This record is disabled.
    pub(super) fn hand_over(&mut self) -> Self {
        Self(self.0.take())
    }

    /// A record without an event.
    pub(super) fn disabled() -> Self {
        Self(None)
    }

    fn update(&mut self, fill: impl FnOnce(&mut PendingEvent)) {
        if let Some(open) = &mut self.0 {
            fill(open);
        }
    }

    pub(super) fn route(&mut self, table: &RouteTable, route: &Route) {
        self.update(|open| {
            open.event.gateway = Some(Arc::clone(&table.gateway.name));
            open.event.route = Some(Arc::clone(&route.slug));
            open.event.origin = Some(Arc::clone(&route.origin.name));
        });
    }

    pub(super) fn caller(&mut self, caller: &Caller) {
        self.update(|open| {
            open.event.subject = Some(Arc::clone(&caller.principal.subject));
            open.event.client_id = Some(Arc::clone(&caller.client_id));
            open.event.client_name = Some(Arc::clone(&caller.client_name));
        });
    }

    /// Keeps the permit of the request until the record ends.
    pub(super) fn begin(&mut self, permit: RequestPermit) {
        self.update(|open| open.permit = Some(permit));
    }

    /// The request opens an open-ended stream.
    pub(super) fn become_stream(&mut self) -> Result<(), TooMany> {
        let permit = self.0.as_mut().and_then(|open| open.permit.as_mut());
        permit.map_or(Ok(()), RequestPermit::become_stream)
    }

    pub(super) fn teams(&mut self, admission: &RouteAccess) {
        self.update(|open| open.event.teams = Some(Arc::clone(&admission.teams)));
    }

    pub(super) fn message(&mut self, message: &Message<'_>, headers: &HeaderMap) {
        self.update(|open| {
            open.event.method = Some(clip(&message.method_name));
            if message.method.is_invocation() {
                open.event.event = EventKind::McpCapability;
            }
            open.event.protocol_version = message
                .protocol_version
                .as_deref()
                .or_else(|| headers.get(PROTOCOL_VERSION)?.to_str().ok())
                .map(clip);
        });
    }

    pub(super) fn session(&mut self, digest: Option<&str>) {
        self.update(|open| open.event.session = digest.map(Into::into));
    }

    pub(super) fn capability(&mut self, method: Method, name: &str) {
        self.update(|open| {
            open.event.capability = Some(clip(name));
            open.event.capability_kind = match method {
                Method::ToolsCall => Some(CapabilityKind::Tool),
                Method::PromptsGet => Some(CapabilityKind::Prompt),
                _ => Some(CapabilityKind::Resource),
            };
        });
    }

    pub(super) fn auth_mode(&mut self, mode: AuthMode) {
        self.update(|open| open.event.auth_mode = Some(mode));
    }

    pub(super) fn request_bytes(&mut self, bytes: usize) {
        self.update(|open| open.event.request_bytes = Some(bytes as u64));
    }

    /// Adds time that was spent waiting for the origin.
    pub(super) fn add_upstream_time(&mut self, time: Duration) {
        self.update(|open| open.upstream += time);
    }

    pub(super) fn status(&mut self, status: StatusCode) {
        self.update(|open| {
            open.event.status = Some(status.as_u16());
            if !status.is_success() {
                (open.event.outcome, open.event.failure_origin) =
                    (Outcome::UpstreamError, Some(FailureOrigin::Upstream));
                open.event.reason = Some("upstream_status");
            }
        });
    }

    /// Records the outcome that the origin's response reports.
    pub(super) fn response_outcome(&mut self, verdict: ResponseOutcome) {
        self.update(|open| {
            let (outcome, reason) = match verdict {
                ResponseOutcome::Success | ResponseOutcome::Task => (Outcome::Success, None),
                ResponseOutcome::ToolError => (Outcome::ToolError, Some("tool_error")),
                ResponseOutcome::Error => (Outcome::ToolError, Some("json_rpc_error")),
                ResponseOutcome::NotAResponse => return,
            };
            open.answered = true;
            (open.event.outcome, open.event.reason) = (outcome, reason);
            open.event.failure_origin = reason.map(|_| FailureOrigin::Upstream);
        });
    }

    /// Records an outcome other than success or rejection, with its reason.
    pub(super) fn set_outcome(&mut self, outcome: Outcome, failure: FailureOrigin, reason: &'static str) {
        self.update(|open| {
            (open.event.outcome, open.event.failure_origin, open.event.reason) =
                (outcome, Some(failure), Some(reason));
        });
    }

    /// Marks an open-ended stream: the client may disconnect at any time without an error.
    pub(super) fn mark_open_ended(&mut self) {
        self.update(|open| open.answered = true);
    }

    /// Whether the client has received its response.
    pub(super) fn is_answered(&self) -> bool {
        self.0.as_ref().is_none_or(|open| open.answered)
    }

    /// Records a rejection by the gateway.
    pub(super) fn finish_rejected(
        &mut self,
        kind: Option<EventKind>,
        (outcome, failure, reason): (Outcome, FailureOrigin, &'static str),
        message: &str,
        status: StatusCode,
        bytes: usize,
    ) {
        self.set_outcome(outcome, failure, reason);
        self.update(|open| {
            if let Some(kind) = kind {
                open.event.event = kind;
            }
            open.event.message = Some(clip(message));
        });
        self.finish_with_status(status, bytes as u64);
    }

    /// Records a response that the gateway created itself.
    pub(super) fn finish_with_status(&mut self, status: StatusCode, response_bytes: u64) {
        self.update(|open| open.event.status = Some(status.as_u16()));
        self.finish(response_bytes);
    }

    /// Records the event after the last byte of the response.
    pub(super) fn finish(&mut self, response_bytes: u64) {
        let Some(mut open) = self.0.take() else { return };
        let total = open.started.elapsed();
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        open.event.time = open.clock.now();
        open.event.total_ms = Some(ms(total));
        if open.upstream > Duration::ZERO {
            open.event.upstream_ms = Some(ms(open.upstream));
            open.event.gateway_ms = Some(ms(total.saturating_sub(open.upstream)));
        }
        open.event.response_bytes = Some(response_bytes);
        open.events.record(open.event);
    }
}

impl Drop for AuditRecord {
    /// Records the event even if the client disconnects before the response.
    fn drop(&mut self) {
        if !self.is_answered() {
            self.set_outcome(Outcome::ClientError, FailureOrigin::Client, "client_went_away");
        }
        self.finish(0);
    }
}

/// A text that a client chose, at most [`MAX_TEXT_LEN`] long. Control characters are replaced: they would act
/// on terminals, and their escapes are six times as long.
fn clip(text: &str) -> Box<str> {
    let end = (0..=text.len().min(MAX_TEXT_LEN)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let text = text.get(..end).unwrap_or_default();
    if text.contains(char::is_control) { text.replace(char::is_control, "?").into() } else { text.into() }
}

/// The trace id of a W3C `traceparent`.
fn trace_id(headers: &HeaderMap) -> Option<Box<str>> {
    let id = headers.get("traceparent")?.to_str().ok()?.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_text_then_the_event_has_its_start_without_control_characters() {
        assert_eq!(&*clip("docs://a\t\u{0}\u{7f}\u{9b}é"), "docs://a????é");
        assert_eq!(clip(&"é".repeat(MAX_TEXT_LEN)).len(), MAX_TEXT_LEN);
        assert_eq!(clip(&"\n".repeat(MAX_TEXT_LEN + 1)).len(), MAX_TEXT_LEN);
    }
}
