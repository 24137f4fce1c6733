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
mod diagnosis;
mod nearest;
mod read;
mod resources;

pub use compile::{Compiled, Parts, compile, compile_parts};
pub use diagnosis::{Diagnosis, Severity};
pub use read::read;
pub use resources::{Catalog, ResourceId, Resources};

/// The namespace of a manifest in a folder that names none.
pub const DEFAULT_NAMESPACE: &str = "default";
