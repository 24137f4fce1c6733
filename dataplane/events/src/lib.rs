//! Audit events: their schema, and the queue that writes them out.
//!
//! Everything that an auditor or an operator needs to see is one [`Event`]. `EVENTS.md` documents the schema.
//! Recording never waits: events go through a bounded queue to a writer thread, and events that do not fit
//! are dropped and counted ([`EventSink::dropped`]).
//!
//! *Architecture invariant:* an event has no field that could hold a token, a code, a secret or an argument.

mod event;
mod sink;

pub use event::{AuthMode, CapabilityKind, Event, EventKind, FailureOrigin, Outcome};
pub use sink::{EventSink, EventWriter};
