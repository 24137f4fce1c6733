//! Classes of events. Each class may use more of the queue than the class before it, so anonymous traffic cannot
//! displace calls, and calls cannot displace administration.

use crate::{Event, EventKind, Outcome};

/// Class of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventClass {
    /// Caused by a client that did not say who it is.
    Anonymous,
    /// A request of a principal, or of the gateway itself.
    Request,
    /// Sign-in, consent, grants, connections, administration and configuration.
    Administration,
}

impl EventClass {
    /// The class of an event. An event without a client address was not caused by a client.
    pub(crate) fn of(event: &Event) -> Self {
        if event.event == EventKind::Unauthenticated
            || (event.subject.is_none() && event.client_address.is_some())
        {
            return Self::Anonymous;
        }
        match event.event {
            EventKind::McpRequest
            | EventKind::McpCapability
            | EventKind::PolicyDenied
            | EventKind::Unauthenticated
            | EventKind::UpstreamRefresh
            | EventKind::UpstreamRequest => Self::Request,
            EventKind::ClientRegistered
            | EventKind::SignIn
            | EventKind::Renewed
            | EventKind::LoggedOut
            | EventKind::Consent
            | EventKind::Token
            | EventKind::Revoked
            | EventKind::Connected
            | EventKind::Disconnected
            | EventKind::AdminConnected
            | EventKind::AdminRevoked
            | EventKind::Snapshot
            | EventKind::Keys => Self::Administration,
        }
    }

    /// Number of queued bytes, of all classes together, up to which events of this class are queued.
    pub(crate) const fn limit(self) -> usize {
        match self {
            Self::Anonymous => 4 << 20,
            Self::Request => 24 << 20,
            Self::Administration => 32 << 20,
        }
    }
}

/// Whether an event is a failure of an anonymous client. Above a fixed rate these are counted.
pub(crate) fn is_anonymous_failure(event: &Event, class: EventClass) -> bool {
    class == EventClass::Anonymous && event.outcome != Outcome::Success
}

#[cfg(test)]
mod tests {
    use portcullis_clock::UnixMillis;

    use super::*;

    fn class(kind: EventKind, subject: Option<&str>, address: Option<[u8; 4]>) -> EventClass {
        let mut event = Event::new(UnixMillis(0), kind, Outcome::Success);
        event.subject = subject.map(Into::into);
        event.client_address = address.map(Into::into);
        EventClass::of(&event)
    }

    #[test]
    fn given_an_event_then_its_class_follows_from_who_caused_it() {
        use EventClass::{Administration, Anonymous, Request};
        let (ana, client) = (Some("company:ana"), Some([192, 0, 2, 1]));
        for kind in [EventKind::McpCapability, EventKind::McpRequest, EventKind::PolicyDenied] {
            assert_eq!(class(kind, ana, client), Request, "{kind:?}");
            assert_eq!(class(kind, None, client), Anonymous, "{kind:?}");
        }
        for kind in [EventKind::Consent, EventKind::AdminRevoked, EventKind::Token, EventKind::SignIn] {
            assert_eq!(class(kind, ana, client), Administration, "{kind:?}");
            assert_eq!(class(kind, None, client), Anonymous, "{kind:?}");
        }
        assert_eq!(class(EventKind::Snapshot, None, None), Administration);
        assert_eq!(class(EventKind::UpstreamRequest, None, None), Request);
        assert_eq!(class(EventKind::Unauthenticated, None, None), Anonymous);
    }

    #[test]
    fn given_the_classes_then_each_has_capacity_that_the_ones_before_cannot_use() {
        use EventClass::{Administration, Anonymous, Request};
        assert!(Anonymous.limit() < Request.limit() / 4);
        assert!(Request.limit() < Administration.limit());
    }
}
