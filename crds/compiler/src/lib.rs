//! The compiler: resources in, the contract and what is wrong with the resources out.
//!
//! ```text
//! read      texts of a folder -> resources        (the operator has them from its watches instead)
//! compile   resources -> contract + diagnoses
//! ```
//!
//! Pure: no I/O, no clock. The operator and `portcullis serve --manifests` use the same one, so that a manifest means the same
//! on a laptop and in a cluster. Every diagnosis says what is wrong, in which field, and what to do about it.

mod compile;
mod diagnostic;
mod read;
mod resources;
mod suggest;

pub use compile::{Compiled, PartialConfig, compile, compile_partial};
pub use diagnostic::{Diagnostic, Severity};
pub use read::read;
pub use resources::{Catalog, ResourceId, Resources};

/// The namespace of a manifest in a folder that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
