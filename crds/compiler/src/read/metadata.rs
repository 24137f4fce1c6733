//! Checks `metadata`, which all kinds share.

use portcullis_crds::values::syntax::is_dns_label;
use serde_json::{Map, Value};

use super::{Problem, schema};
use crate::ResourceId;

/// Fields of `metav1.ObjectMeta`.
const FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Checks `metadata`, sets the namespace and removes the UID, because the folder assigns UIDs.
pub(super) fn check(value: &mut Value, id: &ResourceId, problems: &mut Vec<Problem>) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.retain(|_, value| !value.is_null());
    for field in metadata.keys().filter(|key| !FIELDS.contains(&key.as_str())) {
        problems.push(schema::unknown_field("metadata", field, FIELDS));
    }
    if !is_name(&id.name) {
        let message = format!(
            "'{}' is not a valid name; use at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both \
             ends",
            id.name
        );
        problems.push(Problem::new("metadata.name", "InvalidValue", message));
    }
    if !is_dns_label(&id.namespace) || metadata.get("namespace").is_some_and(|it| !it.is_string()) {
        let message = "the namespace is invalid; use at most 63 lower-case letters, digits and '-'";
        problems.push(Problem::new("metadata.namespace", "InvalidValue", message));
    }
    strings(metadata, "labels", problems);
    strings(metadata, "annotations", problems);
    metadata.insert("namespace".to_owned(), Value::String(id.namespace.clone()));
    metadata.remove("uid");
}

/// DNS subdomain (RFC 1123).
fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_label)
}

/// Checks that all values are strings: `portcullis.dev/credential: true` is a boolean in YAML and not valid
/// as a label.
fn strings(metadata: &Map<String, Value>, field: &str, problems: &mut Vec<Problem>) {
    for (key, value) in metadata.get(field).and_then(Value::as_object).into_iter().flatten() {
        if !value.is_string() {
            let message = format!("the value is not a string; write it in quotes: {key}: \"{value}\"");
            problems.push(Problem::new(format!("metadata.{field}[{key}]"), "InvalidType", message));
        }
    }
}
