//! Checks a resource against the schema of its kind and reports all problems at once.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use portcullis_crds::{manifests, values};
use serde_json::{Map, Value};

use super::Problem;
use crate::suggest::suggest;

pub(super) const UNKNOWN_FIELD: &str = "UnknownField";

/// Fields of every resource that are not part of its schema.
const COMMON_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Checks a resource against the schema of its kind.
pub(super) fn check_resource(
    definition: &CustomResourceDefinition,
    value: &mut Value,
    problems: &mut Vec<Problem>,
) {
    let (Some(schema), Value::Object(object)) = (manifests::schema(definition), value) else { return };
    check_fields(schema, object, "", &COMMON_FIELDS, problems);
}

/// The problem for an unknown field. It suggests the most similar field or lists all known ones.
pub(super) fn unknown_field<'a>(
    parent: &str,
    field: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Problem {
    let known: Vec<_> = known.into_iter().collect();
    let hint = match (suggest(field, known.iter().copied()), known.is_empty()) {
        (Some(meant), _) => format!("did you mean '{meant}'?"),
        (None, false) => format!("known fields: {}", known.join(", ")),
        (None, true) => "no fields are allowed here, only {}".to_owned(),
    };
    Problem::new(join(parent, field), UNKNOWN_FIELD, format!("unknown field '{field}'; {hint}"))
}

fn join(parent: &str, field: &str) -> String {
    if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") }
}

fn check(schema: &JSONSchemaProps, value: &mut Value, path: &str, problems: &mut Vec<Problem>) {
    let expected = schema.type_.as_deref().unwrap_or_default();
    match (expected, value) {
        ("object", Value::Object(object)) => check_fields(schema, object, path, &[], problems),
        ("array", Value::Array(items)) => check_items(schema, items, path, problems),
        ("string", Value::String(text)) => check_text(schema, text, path, problems),
        ("boolean", Value::Bool(_)) | ("integer" | "number", Value::Number(_)) | ("", _) => {}
        (_, value) => problems.push(Problem::new(path, "InvalidType", wrong_type(schema, expected, value))),
    }
}

fn wrong_type(schema: &JSONSchemaProps, expected: &str, value: &Value) -> String {
    let scalar = matches!(value, Value::Bool(_) | Value::Number(_));
    if expected == "string" && scalar {
        // For `10` as a duration, the pattern's own message is more useful than "write it in quotes".
        let text = value.to_string();
        return match schema.pattern.as_deref().and_then(|pattern| values::check_pattern(pattern, &text)) {
            Some(Err(error)) => error.to_string(),
            _ => format!("{text} is not a string; write it in quotes: \"{text}\""),
        };
    }
    let found = match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("'{text}'"),
        scalar => scalar.to_string(),
    };
    match expected {
        "array" => format!("expected a list, found {found}; write [..] or lines that start with '- '"),
        "object" => format!("expected an object, found {found}; write its fields, or {{}} for none"),
        "boolean" => format!("expected true or false, found {found}"),
        "string" => format!("expected a string, found {found}"),
        _ => format!("expected a number, found {found}"),
    }
}

fn check_fields(
    schema: &JSONSchemaProps,
    object: &mut Map<String, Value>,
    path: &str,
    besides: &[&str],
    problems: &mut Vec<Problem>,
) {
    let empty = Default::default();
    let properties = schema.properties.as_ref().unwrap_or(&empty);
    // The API server also drops nulls of fields that are not nullable.
    object.retain(|name, value| !(value.is_null() && properties.contains_key(name)));
    if schema.additional_properties.is_none() {
        let known = || properties.keys().map(String::as_str).chain(besides.iter().copied());
        for name in object.keys().filter(|name| !known().any(|known| known == *name)) {
            problems.push(unknown_field(path, name, known()));
        }
    }
    for name in schema.required.iter().flatten().filter(|name| !object.contains_key(*name)) {
        let description = properties.get(name).and_then(|it| it.description.as_deref()).unwrap_or_default();
        let message = format!("this field is required ({})", description.trim_end_matches('.'));
        problems.push(Problem::new(join(path, name), "Required", message));
    }
    for (name, property) in properties {
        if let Some(value) = object.get_mut(name) {
            check(property, value, &join(path, name), problems);
        }
    }
}

fn check_items(schema: &JSONSchemaProps, items: &mut [Value], path: &str, problems: &mut Vec<Problem>) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(least) = schema.min_items.filter(|least| count < *least) {
        problems.push(Problem::new(
            path,
            "TooFew",
            format!("the list has {count} entries; at least {least} are required"),
        ));
    }
    if let Some(most) = schema.max_items.filter(|most| count > *most) {
        problems.push(Problem::new(
            path,
            "TooMany",
            format!("the list has {count} entries; at most {most} are allowed"),
        ));
    }
    for key in schema.x_kubernetes_list_map_keys.iter().flatten() {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            if let Some(value) = item.get(key).and_then(Value::as_str)
                && !seen.insert(value)
            {
                let message = format!("an earlier entry has the same {key} '{value}'; keep one of the two");
                problems.push(Problem::new(format!("{path}[{index}].{key}"), "Duplicate", message));
            }
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
        for (index, item) in items.iter_mut().enumerate() {
            check(schema, item, &format!("{path}[{index}]"), problems);
        }
    }
}

fn check_text(schema: &JSONSchemaProps, text: &str, path: &str, problems: &mut Vec<Problem>) {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let values: Vec<_> = schema.enum_.iter().flatten().filter_map(|value| value.0.as_str()).collect();
    if !values.is_empty() && !values.contains(&text) {
        let hint = suggest(text, values.iter().copied())
            .map(|it| format!("; did you mean {it}?"))
            .unwrap_or_default();
        let message = format!("'{text}' is not one of {}{hint}", values.join(", "));
        problems.push(Problem::new(path, "InvalidValue", message));
    }
    if let Some(Err(error)) =
        schema.pattern.as_deref().and_then(|pattern| values::check_pattern(pattern, text))
    {
        problems.push(Problem::new(path, "InvalidValue", error.to_string()));
    } else if let Some(least) = schema.min_length.filter(|least| length < *least) {
        let message = match text {
            "" => "the value is empty; write a value or leave the field out".to_owned(),
            _ => format!("'{text}' is too short; write at least {least} characters"),
        };
        problems.push(Problem::new(path, "InvalidValue", message));
    }
    if let Some(most) = schema.max_length.filter(|most| length > *most) {
        let message = format!("the value has {length} characters; at most {most} are allowed");
        problems.push(Problem::new(path, "InvalidValue", message));
    }
}
