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
mod secret;
mod shape;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use portcullis_crds::manifests;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Diagnosis, ResourceId, Resources, Severity};
use document::{Document, Identified};

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

    fn diagnosis(self, file: &str, resource: Option<ResourceId>) -> Diagnosis {
        Diagnosis {
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
pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Resources, Vec<Diagnosis>) {
    let mut reading = Reading { resources: Resources::default(), diagnoses: Vec::new() };
    for (file, text) in files {
        for document in document::documents(text) {
            match document {
                Ok(document) => reading.document(file, document),
                Err(problem) => reading.diagnoses.push(problem.diagnosis(file, None)),
            }
        }
    }
    (reading.resources, reading.diagnoses)
}

struct Reading {
    resources: Resources,
    diagnoses: Vec<Diagnosis>,
}

impl Reading {
    fn document(&mut self, file: &str, document: Document) {
        let Identified { id, mut value } = match document.identify() {
            Ok(identified) => identified,
            Err(wrong) => {
                let (id, problem) = *wrong;
                // What was probably meant is there for others to refer to.
                self.resources.unreadable.extend(id.clone().map(document::meant));
                return self.diagnoses.push(problem.diagnosis(file, id));
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
                return self.diagnoses.push(problem.diagnosis(file, Some(id)));
            }
        }
        let mut problems = Vec::new();
        metadata::check(&mut value, &id, &mut problems);
        let read = match DEFINITIONS.get(&id.kind) {
            Some(definition) => {
                shape::check_resource(definition, &mut value, &mut problems);
                self.keep(&id, value, &mut problems)
            }
            None => secret::decode(value, &mut problems).map(|secret| self.resources.secrets.push(secret)),
        };
        if read.is_none() {
            self.resources.unreadable.insert(id.clone());
        }
        self.diagnoses.extend(problems.into_iter().map(|problem| problem.diagnosis(file, Some(id.clone()))));
    }

    fn keep(&mut self, id: &ResourceId, value: Value, problems: &mut Vec<Problem>) -> Option<()> {
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
            if problems.iter().all(|problem| problem.reason == shape::UNKNOWN_FIELD) {
                let field = error.path().to_string();
                problems.push(Problem::new(field, "InvalidValue", error.into_inner().to_string()));
            }
            None
        }
    }
}
