use portcullis_contract::{SecretKey, SecretValue};

use crate::{Diagnosis, ResourceId, Resources, Severity};

/// One resource under examination: what was found so far, and the credentials that it takes.
pub(super) struct Case {
    id: ResourceId,
    file: Option<String>,
    diagnoses: Vec<Diagnosis>,
    secrets: Vec<(SecretKey, SecretValue)>,
}

impl Case {
    pub(super) fn new(id: ResourceId, resources: &Resources) -> Self {
        let file = resources.files.get(&id).cloned();
        Self { id, file, diagnoses: Vec::new(), secrets: Vec::new() }
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
        self.found(Severity::Error, field.into(), reason, message.into());
    }

    pub(super) fn warning(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.found(Severity::Warning, field.into(), reason, message.into());
    }

    fn found(&mut self, severity: Severity, field: String, reason: &'static str, message: String) {
        self.diagnoses.push(Diagnosis {
            severity,
            resource: Some(self.id.clone()),
            file: self.file.clone(),
            field: (!field.is_empty()).then_some(field),
            reason,
            message,
        });
    }

    /// A credential that the resource needs, if it proves to be sound.
    pub(super) fn takes(&mut self, key: SecretKey, value: SecretValue) {
        self.secrets.push((key, value));
    }

    pub(super) fn is_sound(&self) -> bool {
        !self.diagnoses.iter().any(Diagnosis::is_error)
    }

    pub(super) fn close(self) -> (Vec<Diagnosis>, Vec<(SecretKey, SecretValue)>) {
        (self.diagnoses, self.secrets)
    }
}
