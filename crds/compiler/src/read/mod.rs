//! Texts of a folder's files in, resources out; strictly, as an API server would with `fieldValidation: Strict`.
//!
//! ```text
//! document   text -> values, one a YAML document; which resource each of them is
//! shape      value against its kind's schema: every unknown field, wrong type and wrong word at once
//! metadata   the same for what all kinds have
//! secret     v1 Secrets, without ever quoting a value
//! ```

mod document;
mod metadata;
mod schema;
mod secret;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use portcullis_crds::manifests;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Diagnostic, ResourceId, Resources, Severity};
use document::{IdentifiedDocument, YamlDocument};

/// Each kind's definition. Made from the types once: it takes longer than reading a file does.
static DEFINITIONS: LazyLock<BTreeMap<String, CustomResourceDefinition>> = LazyLock::new(|| {
    manifests::definitions().into_iter().map(|it| (it.spec.names.kind.clone(), it)).collect()
});

/// Something that is wrong at a place of a document.
struct Problem {
    field: String,
    reason: &'static str,
    message: String,
}

impl Problem {
    fn new(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), reason, message: message.into() }
    }

    fn diagnostic(self, file: &str, resource: Option<ResourceId>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            resource,
            file: Some(file.to_owned()),
            field: (!self.field.is_empty()).then_some(self.field),
            reason: self.reason,
            message: self.message,
        }
    }
}

/// Reads the texts of a folder's files, given as (file name, text). Unknown fields, duplicates and what cannot be decoded are
/// diagnoses that name the file. Every object that comes out has a namespace and no UID: a copy of what another cluster or
/// folder gave would be an identity that is not its own.
pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Resources, Vec<Diagnostic>) {
    let mut reading = ManifestReader { resources: Resources::default(), diagnostics: Vec::new() };
    for (file, text) in files {
        for document in document::documents(text) {
            match document {
                Ok(document) => reading.document(file, document),
                Err(problem) => reading.diagnostics.push(problem.diagnostic(file, None)),
            }
        }
    }
    (reading.resources, reading.diagnostics)
}

struct ManifestReader {
    resources: Resources,
    diagnostics: Vec<Diagnostic>,
}

impl ManifestReader {
    fn document(&mut self, file: &str, document: YamlDocument) {
        let IdentifiedDocument { id, mut value } = match document.identify() {
            Ok(identified) => identified,
            Err(wrong) => {
                let (id, problem) = *wrong;
                // What was probably meant is there for others to refer to.
                self.resources.unreadable.extend(id.clone().map(document::with_suggested_kind));
                return self.diagnostics.push(problem.diagnostic(file, id));
            }
        };
        match self.resources.files.entry(id.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(file.to_owned());
            }
            Entry::Occupied(entry) => {
                let message = match entry.get() {
                    first if first == file => "it is in this file twice; keep one of the two".to_owned(),
                    first => format!("it is in {first} too; keep one of the two"),
                };
                let problem = Problem::new("", "Duplicate", message);
                return self.diagnostics.push(problem.diagnostic(file, Some(id)));
            }
        }
        let mut problems = Vec::new();
        metadata::check(&mut value, &id, &mut problems);
        let read = match DEFINITIONS.get(&id.kind) {
            Some(definition) => {
                schema::check_resource(definition, &mut value, &mut problems);
                self.insert_decoded(&id, value, &mut problems)
            }
            None => secret::decode(value, &mut problems).map(|secret| self.resources.secrets.push(secret)),
        };
        if read.is_none() {
            self.resources.unreadable.insert(id.clone());
        }
        self.diagnostics
            .extend(problems.into_iter().map(|problem| problem.diagnostic(file, Some(id.clone()))));
    }

    fn insert_decoded(&mut self, id: &ResourceId, value: Value, problems: &mut Vec<Problem>) -> Option<()> {
        match id.kind.as_str() {
            "McpGateway" => self.resources.gateways.push(decode(value, problems)?),
            "OriginMcp" => self.resources.origins.push(decode(value, problems)?),
            "VirtualMcp" => self.resources.virtual_mcps.push(decode(value, problems)?),
            _ => self.resources.teams.push(decode(value, problems)?),
        }
        Some(())
    }
}

/// Decodes what has been checked. A problem that the checks already found is not told again in serde's words.
fn decode<T: DeserializeOwned>(value: Value, problems: &mut Vec<Problem>) -> Option<T> {
    match serde_path_to_error::deserialize(value) {
        Ok(resource) => Some(resource),
        Err(error) => {
            if problems.iter().all(|problem| problem.reason == schema::UNKNOWN_FIELD) {
                let field = error.path().to_string();
                problems.push(Problem::new(field, "InvalidValue", error.into_inner().to_string()));
            }
            None
        }
    }
}
