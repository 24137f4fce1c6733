//! `Diagnostic`: one problem of a resource.

use std::fmt;

use crate::ResourceId;

/// One problem of a resource, reported to its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the resource is served despite the problem.
    pub severity: Severity,
    /// The resource, if it could be identified.
    pub resource: Option<ResourceId>,
    /// Name of the file that contains the resource, in folder mode.
    pub file: Option<String>,
    /// Path of the field: `spec.identityProviders[0].oidc.issuer`.
    pub field: Option<String>,
    /// Machine-readable reason: one CamelCase word, as in a Kubernetes condition.
    pub reason: &'static str,
    /// The problem, and what to do.
    pub message: String,
}

/// Whether a resource is served despite a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The resource is served, but may not work as intended.
    Warning,
    /// The resource is not served.
    Error,
}

impl Diagnostic {
    /// Whether the problem prevents the resource from being served.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One line: `error: linear.yaml: OriginMcp default/linear: spec.url: … (reason)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(resource) = &self.resource {
            write!(f, "{resource}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        // A message may quote a parser error with several lines.
        for (index, line) in self.message.lines().map(str::trim).enumerate() {
            write!(f, "{}{line}", if index == 0 { "" } else { " " })?;
        }
        write!(f, " ({})", self.reason)
    }
}
