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

/// Checks what all kinds have in common, fills in the namespace and takes out the identity, which is the folder's to give.
pub(super) fn check(value: &mut Value, id: &ResourceId, problems: &mut Vec<Problem>) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.retain(|_, value| !value.is_null());
    for field in metadata.keys().filter(|key| !FIELDS.contains(&key.as_str())) {
        problems.push(schema::unknown_field("metadata", field, FIELDS));
    }
    if !is_name(&id.name) {
        let message = format!(
            "'{}' is no name; use lower-case letters, digits, '-' and '.', at most 253, letters or digits at both ends",
            id.name
        );
        problems.push(Problem::new("metadata.name", "InvalidValue", message));
    }
    if !is_dns_label(&id.namespace) || metadata.get("namespace").is_some_and(|it| !it.is_string()) {
        let message = "a namespace is a name of lower-case letters, digits and '-', at most 63";
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

/// `portcullis.dev/credential: true` is a boolean in YAML and none in a label.
fn strings(metadata: &Map<String, Value>, field: &str, problems: &mut Vec<Problem>) {
    for (key, value) in metadata.get(field).and_then(Value::as_object).into_iter().flatten() {
        if !value.is_string() {
            let message = format!("the value is not a string; write it in quotes: {key}: \"{value}\"");
            problems.push(Problem::new(format!("metadata.{field}[{key}]"), "InvalidType", message));
        }
    }
}
