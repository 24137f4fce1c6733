use std::fmt;

use crate::ResourceId;

/// Something that is wrong with a resource, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the resource can be served in spite of it.
    pub severity: Severity,
    /// The resource, where one could be made out.
    pub resource: Option<ResourceId>,
    /// Name of the file that it was read from.
    pub file: Option<String>,
    /// Path of the field, as one would write it: `spec.identityProviders[0].oidc.issuer`.
    pub field: Option<String>,
    /// One CamelCase word for programs, as in a Kubernetes condition.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Whether a resource can be served in spite of what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is served; it may not do what was meant.
    Warning,
    /// It is not served.
    Error,
}

impl Diagnostic {
    /// Whether it keeps its resource from being served.
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
        // A message may quote a parser's, which may have lines.
        for (index, line) in self.message.lines().map(str::trim).enumerate() {
            write!(f, "{}{line}", if index == 0 { "" } else { " " })?;
        }
        write!(f, " ({})", self.reason)
    }
}
