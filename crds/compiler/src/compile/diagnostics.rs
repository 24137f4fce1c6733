//! Collects the diagnostics and credentials of one resource.

use portcullis_config::{SecretKey, SecretValue};

use crate::{Diagnostic, ResourceId, Resources, Severity};

/// Diagnostics of one resource so far, and the credentials that it uses.
pub(super) struct ResourceDiagnostics {
    id: ResourceId,
    file: Option<String>,
    diagnostics: Vec<Diagnostic>,
    secrets: Vec<(SecretKey, SecretValue)>,
}

impl ResourceDiagnostics {
    pub(super) fn new(id: ResourceId, resources: &Resources) -> Self {
        let file = resources.files.get(&id).cloned();
        Self { id, file, diagnostics: Vec::new(), secrets: Vec::new() }
    }

    pub(super) fn id(&self) -> &ResourceId {
        &self.id
    }

    pub(super) fn namespace(&self) -> &str {
        &self.id.namespace
    }

    pub(super) fn error(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.push_diagnostic(Severity::Error, field.into(), reason, message.into());
    }

    pub(super) fn warning(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.push_diagnostic(Severity::Warning, field.into(), reason, message.into());
    }

    fn push_diagnostic(&mut self, severity: Severity, field: String, reason: &'static str, message: String) {
        self.diagnostics.push(Diagnostic {
            severity,
            resource: Some(self.id.clone()),
            file: self.file.clone(),
            field: (!field.is_empty()).then_some(field),
            reason,
            message,
        });
    }

    /// Adds a credential. It is published only if the resource is valid.
    pub(super) fn add_secret(&mut self, key: SecretKey, value: SecretValue) {
        self.secrets.push((key, value));
    }

    pub(super) fn is_valid(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }

    pub(super) fn into_parts(self) -> (Vec<Diagnostic>, Vec<(SecretKey, SecretValue)>) {
        (self.diagnostics, self.secrets)
    }
}
