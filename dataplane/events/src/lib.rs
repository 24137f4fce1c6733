//! Audit events: their schema, and the queue that writes them out.
//!
//! Everything that an auditor or an operator needs to see is one [`Event`]. `EVENTS.md` documents the schema.
//! Recording never waits: events go through a queue to a writer thread. The queue is bounded in bytes, with
//! reserved capacity for each class of events. Events that do not fit are dropped and counted
//! ([`EventSink::dropped`]).
//!
//! *Architecture invariant:* an event has no field that could hold a token, a code, a secret or an argument.

mod class;
mod event;
mod failure_summary;
mod queue;
mod sink;
mod text;

pub use event::{AuthMode, CapabilityKind, Event, EventKind, FailureOrigin, Outcome};
pub use sink::{EventSink, EventWriter, RecordedEvents};
