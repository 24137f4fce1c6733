//! Audit events of the credential broker. They never contain a token, a code or a secret.

use std::fmt::Display;
use std::sync::Arc;

use portcullis_clock::Clock;
use portcullis_events::{Event, EventKind, EventSink, FailureOrigin, Outcome};
use portcullis_policy::{Gateway, Origin, PrincipalId};
use portcullis_store::Store;

use crate::credential::auth_mode;
use crate::{BrokerDependencies, ConnectError};

/// Maximum length of an event's message, in characters.
const MAX_MESSAGE_CHARS: usize = 1000;

/// Records audit events, with the person's name from the store.
pub(crate) struct AuditLog {
    store: Store,
    clock: Clock,
    events: EventSink,
}

impl AuditLog {
    pub(crate) fn new(dependencies: &BrokerDependencies) -> Self {
        Self {
            store: dependencies.store.clone(),
            clock: dependencies.clock.clone(),
            events: dependencies.events.clone(),
        }
    }

    /// Records an event about a person and an origin.
    pub(crate) async fn record(
        &self,
        kind: EventKind,
        who: impl Into<Option<&PrincipalId>>,
        gateway: Option<&Gateway>,
        origin: &Origin,
        failure: Option<Failure>,
    ) {
        let outcome = failure.as_ref().map_or(Outcome::Success, |failure| failure.outcome);
        let mut event = Event::new(self.clock.now(), kind, outcome);
        event.gateway = gateway.map(|gateway| Arc::clone(&gateway.name));
        event.origin = Some(Arc::clone(&origin.name));
        event.subject = match who.into() {
            Some(who) => self.subject(who).await,
            None => None,
        };
        event.auth_mode = Some(auth_mode(origin));
        if let Some(failure) = failure {
            event.reason = Some(failure.reason);
            event.failure_origin = Some(match failure.outcome {
                Outcome::ClientError | Outcome::Denied => FailureOrigin::Client,
                Outcome::GatewayError => FailureOrigin::Gateway,
                Outcome::Success | Outcome::ToolError | Outcome::UpstreamError => FailureOrigin::Upstream,
            });
            // It may quote untrusted text, for example a URL.
            event.message = Some(failure.message.chars().take(MAX_MESSAGE_CHARS).collect::<String>().into());
        }
        self.events.record(event);
    }

    /// `identity provider:sub`, if the store returns it.
    async fn subject(&self, who: &PrincipalId) -> Option<Arc<str>> {
        match self.store.principal(who.as_str()).await {
            Ok(row) => row.map(|row| row.subject.into()),
            Err(_) => None,
        }
    }
}

/// Outcome, reason and message of a failed operation, for its event.
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn denied(reason: &'static str, message: impl Display) -> Self {
        Self { outcome: Outcome::Denied, reason, message: message.to_string() }
    }

    pub(crate) fn upstream(reason: &'static str, message: impl Display) -> Self {
        Self { outcome: Outcome::UpstreamError, reason, message: message.to_string() }
    }
}

impl From<&ConnectError> for Failure {
    fn from(error: &ConnectError) -> Self {
        let (outcome, reason) = match error {
            ConnectError::NotNeeded => (Outcome::ClientError, "not_needed"),
            ConnectError::UnknownFlow => (Outcome::Denied, "unknown_flow"),
            ConnectError::OriginChanged => (Outcome::ClientError, "origin_changed"),
            ConnectError::WrongIssuer => (Outcome::Denied, "wrong_issuer"),
            ConnectError::Refused(_) => (Outcome::Denied, "refused"),
            ConnectError::NoToken(_) => (Outcome::UpstreamError, "no_token"),
            ConnectError::Discovery(_) => (Outcome::UpstreamError, "discovery_failed"),
            ConnectError::Registration(_) => (Outcome::UpstreamError, "registration_failed"),
            ConnectError::Outbound(_) => (Outcome::UpstreamError, "unreachable"),
            ConnectError::Unavailable(_) => (Outcome::GatewayError, "unavailable"),
        };
        Self { outcome, reason, message: error.to_string() }
    }
}
