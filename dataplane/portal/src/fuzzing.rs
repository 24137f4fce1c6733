//! What meets strangers' bytes, shown to the fuzz targets of `tests/fuzz` and to nobody else.

use crate::authorize;

/// One parameter of an authorization request, as it came and decoded.
#[must_use]
pub fn parameter(query: &str, name: &str) -> (Option<String>, Option<String>) {
    authorize::parameter(query, name)
}
