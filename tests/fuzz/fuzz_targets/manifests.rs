//! A folder's file: read, and compiled, to resources and diagnoses that quote no secret.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_compiler::{compile, read};

const SECRET: &str = "c2VjcmV0LXRoYXQtbm9ib2R5LXNlZXM";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (resources, diagnoses) = read([("a.yaml", text)]);
    let (again, same) = read([("a.yaml", text)]);
    assert_eq!(diagnoses.len(), same.len());
    assert_eq!(resources.secrets.len(), again.secrets.len());
    let compiled = compile(&resources);
    for diagnosis in diagnoses.iter().chain(&compiled.diagnoses) {
        assert!(!diagnosis.message.is_empty() && !diagnosis.reason.is_empty());
        assert!(!diagnosis.message.contains(SECRET));
    }
});
