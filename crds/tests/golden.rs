//! Golden file of the custom resource definitions without their texts: names, fields, types, limits, CEL
//! rules, columns.

#![allow(clippy::unwrap_used, reason = "a test")]

use portcullis_crds::{ALLOWED_HOSTS_ANNOTATION, CREDENTIAL_LABEL, GROUP, VERSION, manifests};
use portcullis_golden::assert_golden;
use serde_json::{Value, json};

#[test]
fn definitions_keep_every_name_field_and_rule() {
    let mut text = String::new();
    for definition in manifests::definitions() {
        let mut definition = serde_json::to_value(&definition).unwrap();
        remove_texts(&mut definition);
        text.push_str(&format!("---\n{}", serde_yaml::to_string(&definition).unwrap()));
    }
    assert_golden("kubernetes/custom-resource-definitions.yaml", &text);
}

#[test]
fn file_names_labels_and_annotations_stay() {
    let names = json!({
        "group": GROUP,
        "version": VERSION,
        "credential label": CREDENTIAL_LABEL,
        "allowed hosts annotation": ALLOWED_HOSTS_ANNOTATION,
        "files": manifests::definitions().iter().map(manifests::file_name).collect::<Vec<_>>(),
    });
    assert_golden("kubernetes/resource-names.json", &serde_json::to_string_pretty(&names).unwrap());
}

/// Removes descriptions and messages. A property with that name is an object and stays.
fn remove_texts(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                !(matches!(name.as_str(), "description" | "message") && value.is_string())
            });
            fields.values_mut().for_each(remove_texts);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_texts),
        _ => {}
    }
}
