//! Every field of the config documents is either known to the oldest supported reader, or classified by what
//! a reader does that ignores it.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// Fields that the oldest supported reader knows. Never add to this file: a new field belongs to [`ADDED`].
const BASE: &str = include_str!("base_fields.txt");
/// Members whose own members are data, not fields.
const FREE_FORM: [&str; 2] = ["jwks", "annotations"];

/// What a reader does that ignores a field.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "variants without a field at the moment")]
enum Ignored {
    /// It grants the same, or less.
    GrantsNoMore,
    /// It grants more. The document requires this feature wherever the field has an effect.
    Requires(&'static str),
}

/// Fields that were added since the oldest supported reader.
const ADDED: &[(&str, Ignored)] = &[
    // Without it more sign-ins are rejected.
    ("gateway.identityProviders.previousIssuers", Ignored::GrantsNoMore),
];

/// The golden file with every field of every document.
fn fields() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/files/config/documents.json");
    let documents: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut fields = BTreeSet::new();
    collect(&documents, "", &mut fields);
    fields
}

fn collect(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if !FREE_FORM.contains(&name.as_str()) {
                    collect(member, &path, fields);
                }
                fields.insert(path);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, path, fields)),
        _ => {}
    }
}

#[test]
fn given_a_new_field_then_it_says_what_a_reader_does_that_ignores_it() {
    let fields = fields();
    let base: BTreeSet<_> = BASE.lines().collect();
    let added: BTreeSet<_> = ADDED.iter().map(|(field, _)| *field).collect();
    let unclassified: Vec<_> =
        fields.iter().map(String::as_str).filter(|it| !base.contains(it) && !added.contains(it)).collect();
    assert!(
        unclassified.is_empty(),
        "add to ADDED what an older reader does that ignores these fields: {unclassified:?}"
    );
    let gone: Vec<_> = base.iter().chain(&added).filter(|it| !fields.contains(**it)).collect();
    assert!(gone.is_empty(), "older readers need these fields: {gone:?}");
}

#[test]
fn given_a_field_whose_absence_grants_more_then_its_feature_is_known() {
    for (field, ignored) in ADDED {
        if let Ignored::Requires(feature) = ignored {
            assert!(portcullis_config::FEATURES.contains(feature), "{field} requires '{feature}'");
        }
    }
}
