//! Splits a file into YAML documents and identifies the resource in each.

use std::fmt::Display;

use portcullis_crds::{GROUP, VERSION};
use serde::Deserialize as _;
use serde_json::Value;

use super::Problem;
use crate::suggest::{did_you_mean, suggest};
use crate::{DEFAULT_NAMESPACE, ResourceId};

/// Kinds that a folder may contain.
const KINDS: [&str; 5] = ["McpGateway", "OriginMcp", "VirtualMcp", "Team", "Secret"];

/// A YAML document that is not empty.
pub(super) struct YamlDocument(Value);

/// A document with a known kind and a name.
pub(super) struct IdentifiedDocument {
    pub(super) id: ResourceId,
    pub(super) value: Value,
}

/// The documents of a file. Reading stops at invalid YAML, because the start of the next document is then
/// unknown.
pub(super) fn documents(text: &str) -> Vec<Result<YamlDocument, Problem>> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        // serde_yaml's own value type rejects repeated keys.
        let value = serde_yaml::Value::deserialize(document)
            .map_err(|error| invalid_yaml(redacted_error(&error)))
            .and_then(|value| serde_json::to_value(value).map_err(invalid_yaml));
        match value {
            Ok(Value::Null) => {}
            Ok(value) => documents.push(Ok(YamlDocument(value))),
            Err(problem) => {
                documents.push(Err(problem));
                break;
            }
        }
    }
    documents
}

fn invalid_yaml(error: impl Display) -> Problem {
    Problem::new("", "InvalidYaml", format!("invalid YAML: {error}"))
}

/// The parser's error. It quotes a value that does not match its tag; that value is removed, because it may
/// be secret.
fn redacted_error(error: &serde_yaml::Error) -> String {
    let message = error.to_string();
    match message.split_once('"') {
        None => return message,
        Some((words, _)) if words.ends_with("duplicate entry with key ") => return message,
        Some(_) => {}
    }
    let place = error.location().map(|at| format!(", at line {} column {}", at.line(), at.column()));
    format!("a value does not match its tag (!!…){}", place.unwrap_or_default())
}

/// Replaces an unknown kind by the most similar known one.
pub(super) fn with_suggested_kind(id: ResourceId) -> ResourceId {
    match suggest(&id.kind, KINDS) {
        Some(kind) => ResourceId { kind: kind.to_owned(), ..id },
        None => id,
    }
}

impl YamlDocument {
    /// Reads and checks `kind`, `apiVersion`, namespace and name.
    pub(super) fn identify(self) -> Result<IdentifiedDocument, Box<(Option<ResourceId>, Problem)>> {
        let Self(value) = self;
        if !value.is_object() {
            let message = "this document is not a Kubernetes resource; write one with apiVersion, kind, metadata and spec";
            return Err(Box::new((None, Problem::new("", "NotAResource", message))));
        }
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(DEFAULT_NAMESPACE);
        let Some(kind) = text("/kind") else {
            let message = format!("this document has no kind; use one of {}", KINDS.join(", "));
            return Err(Box::new((None, Problem::new("kind", "UnknownKind", message))));
        };
        let id = text("/metadata/name").map(|name| ResourceId::new(kind, namespace, name));
        if !KINDS.contains(&kind) {
            let hint = match suggest(kind, KINDS) {
                Some(_) => did_you_mean(kind, KINDS),
                None => format!("; use one of {}", KINDS.join(", ")),
            };
            let message = format!("unknown kind '{kind}'{hint}");
            return Err(Box::new((id, Problem::new("kind", "UnknownKind", message))));
        }
        let version = if kind == "Secret" { "v1".to_owned() } else { format!("{GROUP}/{VERSION}") };
        if text("/apiVersion") != Some(&version) {
            let message = match text("/apiVersion") {
                Some(other) => {
                    format!("unsupported apiVersion '{other}' for {kind}; write apiVersion: {version}")
                }
                None => format!("this {kind} has no apiVersion; write apiVersion: {version}"),
            };
            return Err(Box::new((id, Problem::new("apiVersion", "UnknownVersion", message))));
        }
        match id {
            Some(id) => Ok(IdentifiedDocument { id, value }),
            None => {
                let message = format!("this {kind} has no name; add metadata: {{name: …}}");
                Err(Box::new((None, Problem::new("metadata.name", "Required", message))))
            }
        }
    }
}
