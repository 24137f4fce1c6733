//! Reads resources from the files of a folder, as strictly as an API server with `fieldValidation: Strict`.
//!
//! ```text
//! document   splits a text into YAML documents and identifies the resource in each
//! schema     checks a resource against the schema of its kind: unknown fields, wrong types, invalid values
//! metadata   checks the metadata, which all kinds share
//! secret     decodes v1 Secrets without quoting a value
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

/// Definition of each kind. Generated once, because that takes longer than reading a file.
static DEFINITIONS: LazyLock<BTreeMap<String, CustomResourceDefinition>> = LazyLock::new(|| {
    manifests::definitions().into_iter().map(|it| (it.spec.names.kind.clone(), it)).collect()
});

/// A problem in one field of a document.
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

/// Reads the files of a folder, given as (file name, text). Unknown fields, duplicates and values that cannot
/// be decoded become diagnostics that name the file. Every returned object has a namespace and no UID: a UID
/// in a copied manifest belongs to another cluster or folder.
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
                // References to the resource that was probably meant are not reported as "not found".
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
                    first if first == file => {
                        "this resource is defined twice in this file; keep one of the two".to_owned()
                    }
                    first => format!("this resource is also defined in {first}; keep one of the two"),
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

/// Decodes a checked value. Serde's error is only reported if the checks did not find the problem.
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
