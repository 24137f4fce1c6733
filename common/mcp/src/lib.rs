//! MCP on the wire: what a gateway must know of a message, and nothing else.
//!
//! ```text
//! bytes of a request   -> message::Message     (one strict pass; what policy asks about)
//! bytes of a list      -> list::List           (splice; items that do not change are copied as they are)
//! bytes of an item     -> item::Members        (presented under another name or description)
//! bytes of a stream    -> sse::Splitter        (whole events, as they came)
//! bytes of an answer   -> answer::Verdict      (success, error, tool error)
//! ```
//!
//! *Architecture invariant:* no I/O, no policy, and no message is rebuilt that need not change.

pub mod error;
pub mod header;
pub mod item;
pub mod list;
pub mod message;
pub mod method;
pub mod response;
pub mod sse;
mod strict;
