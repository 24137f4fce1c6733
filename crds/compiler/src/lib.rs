//! The compiler: turns resources into config documents and reports diagnostics.
//!
//! ```text
//! read      files of a folder -> resources        (the operator gets resources from its watches instead)
//! compile   resources -> config documents + diagnostics
//! ```
//!
//! Pure: no I/O, no clock. The operator and `portcullis serve --manifests` use the same compiler, so a
//! manifest means the same on a laptop and in a cluster. Every diagnostic names the field, the problem and
//! what to do.

mod compile;
mod diagnostic;
mod read;
mod resources;
mod suggest;

pub use compile::{Compiled, GatewaySelection, PartialConfig, compile, compile_partial, slug_of};
pub use diagnostic::{Diagnostic, Severity};
pub use read::read;
pub use resources::{Catalog, GatewaySelector, ResourceId, Resources, SlugClaims};

/// Namespace of manifests in a folder that set no `metadata.namespace`.
pub const DEFAULT_NAMESPACE: &str = "default";
