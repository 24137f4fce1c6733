//! The MCP wire format: parses only the parts of a message that a gateway needs.
//!
//! ```text
//! bytes of a request   -> message::Message            (one strict pass; the values that policy needs)
//! bytes of a list      -> list::List                  (spliced; unchanged items are copied)
//! bytes of an object   -> json_object::JsonObject     (with changed members)
//! bytes of a stream    -> sse::Splitter               (whole events, unchanged)
//! bytes of a response  -> response::ResponseOutcome   (success, tool error, error)
//! ```
//!
//! [`client`] is the MCP client for requests that Portcullis itself sends.
//!
//! *Architecture invariant:* no I/O, no policy, and a message is rewritten only where it must change.

pub mod client;
pub mod elicitation;
pub mod error;
pub mod header;
pub mod json_object;
mod known_keys;
pub mod list;
pub mod message;
pub mod method;
pub mod response;
pub mod sse;
mod strict;
pub mod tasks;
