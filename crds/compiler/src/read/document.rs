use portcullis_crds::{GROUP, VERSION};
use serde::Deserialize as _;
use serde_json::Value;

use super::Problem;
use crate::suggest::{did_you_mean, suggest};
use crate::{DEFAULT_NAMESPACE, ResourceId};

/// The kinds that a folder may hold.
const KINDS: [&str; 5] = ["McpGateway", "OriginMcp", "VirtualMcp", "Team", "Secret"];

/// One YAML document that is not empty.
pub(super) struct YamlDocument(Value);

/// A document of a kind that we know, with a name.
pub(super) struct IdentifiedDocument {
    pub(super) id: ResourceId,
    pub(super) value: Value,
}

/// The documents of a file. One that is no YAML ends the file, because nobody can say where the next begins.
pub(super) fn documents(text: &str) -> Vec<Result<YamlDocument, Problem>> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        // By way of YAML's own value, because that refuses keys that repeat.
        let value = serde_yaml::Value::deserialize(document)
            .map_err(|error| redacted_error(&error))
            .and_then(|value| serde_json::to_value(value).map_err(|error| error.to_string()));
        match value {
            Ok(Value::Null) => {}
            Ok(value) => documents.push(Ok(YamlDocument(value))),
            Err(error) => {
                documents.push(Err(Problem::new("", "InvalidYaml", format!("this is not YAML: {error}"))));
                break;
            }
        }
    }
    documents
}

/// What is no YAML, in the parser's words. They quote a value that does not fit its tag, and it may be a Secret's.
fn redacted_error(error: &serde_yaml::Error) -> String {
    let told = error.to_string();
    match told.split_once('"') {
        None => return told,
        Some((words, _)) if words.ends_with("duplicate entry with key ") => return told,
        Some(_) => {}
    }
    let place = error.location().map(|at| format!(", at line {} column {}", at.line(), at.column()));
    format!("a value does not fit its tag (!!…){}", place.unwrap_or_default())
}

/// The resource that was meant by one of an unknown kind.
pub(super) fn with_suggested_kind(id: ResourceId) -> ResourceId {
    match suggest(&id.kind, KINDS) {
        Some(kind) => ResourceId { kind: kind.to_owned(), ..id },
        None => id,
    }
}

impl YamlDocument {
    /// Which resource this is.
    pub(super) fn identify(self) -> Result<IdentifiedDocument, Box<(Option<ResourceId>, Problem)>> {
        let Self(value) = self;
        if !value.is_object() {
            let message = "this document is no resource; a resource has apiVersion, kind, metadata and spec";
            return Err(Box::new((None, Problem::new("", "NotAResource", message))));
        }
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or(DEFAULT_NAMESPACE);
        let Some(kind) = text("/kind") else {
            let message = format!("the document has no kind; write one of {}", KINDS.join(", "));
            return Err(Box::new((None, Problem::new("kind", "UnknownKind", message))));
        };
        let id = text("/metadata/name").map(|name| ResourceId::new(kind, namespace, name));
        if !KINDS.contains(&kind) {
            let hint = match suggest(kind, KINDS) {
                Some(_) => did_you_mean(kind, KINDS),
                None => format!("; a folder holds {}", KINDS.join(", ")),
            };
            let message = format!("there is no kind '{kind}'{hint}");
            return Err(Box::new((id, Problem::new("kind", "UnknownKind", message))));
        }
        let version = if kind == "Secret" { "v1".to_owned() } else { format!("{GROUP}/{VERSION}") };
        if text("/apiVersion") != Some(&version) {
            let message = match text("/apiVersion") {
                Some(other) => {
                    format!("'{other}' has no {kind} that is known here; write apiVersion: {version}")
                }
                None => format!("write apiVersion: {version}"),
            };
            return Err(Box::new((id, Problem::new("apiVersion", "UnknownVersion", message))));
        }
        match id {
            Some(id) => Ok(IdentifiedDocument { id, value }),
            None => {
                let message = format!("this {kind} has no name; write metadata: {{name: …}}");
                Err(Box::new((None, Problem::new("metadata.name", "Required", message))))
            }
        }
    }
}
