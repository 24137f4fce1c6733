//! What happened: one schema of events, and the way out of the process.
//!
//! Everything that is worth an auditor's or an operator's attention is one [`Event`]. The schema is documented for readers in
//! `EVENTS.md`. Recording never waits: events go through a bounded queue to a writer of its own, and what does not fit is
//! counted ([`EventSink::dropped`]).
//!
//! *Architecture invariant:* an event has no field that could hold a token, a code, a secret or an argument.

mod event;
mod sink;

pub use event::{AuthMode, CapabilityKind, Event, EventKind, FailureOrigin, Outcome};
pub use sink::{EventSink, EventWriter};
