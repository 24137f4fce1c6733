//! Features that a document may require of its reader.
//!
//! Readers ignore unknown fields, so an older reader would ignore a new field that restricts something. A
//! document that contains such a field lists its feature in `requires`. A reader that does not know a listed
//! feature rejects the document and keeps its last good version.

/// The features that this version reads.
pub const FEATURES: [&str; 0] = [];

/// The first required feature that this version does not read.
#[must_use]
pub fn unknown_feature(requires: &[String]) -> Option<&str> {
    requires.iter().map(String::as_str).find(|feature| !FEATURES.contains(feature))
}
