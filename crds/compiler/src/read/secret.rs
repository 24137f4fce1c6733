//! Decodes v1 Secrets without quoting their values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use serde_json::Value;

use super::{Problem, schema};

const FIELDS: [&str; 7] = ["apiVersion", "data", "immutable", "kind", "metadata", "stringData", "type"];

/// Decodes a v1 Secret by hand, because serde's errors quote the invalid value, which may be secret.
pub(super) fn decode(value: Value, problems: &mut Vec<Problem>) -> Option<Secret> {
    let Value::Object(mut object) = value else { return None };
    for field in object.keys().filter(|key| !FIELDS.contains(&key.as_str())) {
        problems.push(schema::unknown_field("", field, FIELDS));
    }
    let unknown = problems.len();
    let metadata: Option<ObjectMeta> =
        object.remove("metadata").and_then(|metadata| serde_path_to_error::deserialize(metadata).ok());
    if metadata.is_none() && !problems.iter().any(|problem| problem.field.starts_with("metadata")) {
        problems.push(Problem::new(
            "metadata",
            "InvalidValue",
            "the metadata is not valid for a Kubernetes object",
        ));
    }
    let mut secret = Secret::default();
    for (key, text) in strings(object.remove("stringData"), "stringData", problems) {
        secret.string_data.get_or_insert_default().insert(key, text);
    }
    for (key, text) in strings(object.remove("data"), "data", problems) {
        match STANDARD.decode(text.trim_ascii()) {
            Ok(bytes) => {
                secret.data.get_or_insert_default().insert(key, ByteString(bytes));
            }
            Err(_) => {
                let message = "the value is not base64; put plain text under stringData";
                problems.push(Problem::new(format!("data.{key}"), "InvalidValue", message));
            }
        }
    }
    secret.metadata = metadata?;
    (problems.len() == unknown).then_some(secret)
}

fn strings(value: Option<Value>, field: &str, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
    let values = match value {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(values)) => values,
        Some(_) => {
            problems.push(Problem::new(field, "InvalidType", "expected an object; write keys with values"));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (key, value) in values {
        match value {
            Value::String(text) => found.push((key, text)),
            _ => {
                let message = "the value is not a string; write it in quotes";
                problems.push(Problem::new(format!("{field}.{key}"), "InvalidType", message));
            }
        }
    }
    found
}
