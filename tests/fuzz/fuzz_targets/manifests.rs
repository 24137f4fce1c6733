//! A folder's file: read, and compiled, to resources and diagnoses that quote no Secret's value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_compiler::{compile, read};
use serde::Deserialize as _;
use serde_yaml::{Deserializer, Value};

/// A Secret's value, encoded as under `data` and plain as under `stringData`.
const SECRET: [&str; 2] = ["c2VjcmV0LXRoYXQtbm9ib2R5LXNlZXM", "secret-that-nobody-sees"];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (resources, diagnostics) = read([("a.yaml", text)]);
    let (again, same) = read([("a.yaml", text)]);
    assert_eq!(diagnostics.len(), same.len());
    assert_eq!(resources.secrets.len(), again.secrets.len());
    let compiled = compile(&resources);
    let public = public(text);
    for diagnostic in diagnostics.iter().chain(&compiled.diagnostics) {
        assert!(!diagnostic.message.is_empty() && !diagnostic.reason.is_empty());
        assert!(SECRET.iter().all(|secret| public.contains(secret) || !diagnostic.message.contains(secret)));
    }
});

/// All that may be quoted: what is no Secret's value. A kind or a name may be spelled like one.
fn public(text: &str) -> String {
    let mut public = String::new();
    for document in Deserializer::from_str(text) {
        let mut value = match Value::deserialize(document) {
            Ok(value) => value,
            // The end of what is read. A key that is there twice is named.
            Err(error) if error.to_string().contains("duplicate entry") => return text.to_owned(),
            Err(_) => return public,
        };
        if value.get("kind").is_some_and(|kind| kind == "Secret") {
            for field in ["data", "stringData"] {
                match value.get_mut(field) {
                    Some(Value::Mapping(values)) => {
                        values.values_mut().for_each(|value| *value = Value::Null)
                    }
                    Some(value) => *value = Value::Null,
                    None => {}
                }
            }
        }
        public += &format!("{value:?}");
    }
    public
}
