//! Parsers of untrusted input, exported only to the fuzz targets in `tests/fuzz`.

use crate::authorize;

/// One parameter of an authorization request, raw and decoded.
#[must_use]
pub fn parameter(query: &str, name: &str) -> (Option<String>, Option<String>) {
    authorize::parameter(query, name)
}
