//! What meets strangers' bytes, shown to the fuzz targets of `tests/fuzz` and to nobody else.

use portcullis_contract::OidcProvider;
use portcullis_policy::Principal;
use serde_json::{Map, Value};

use crate::{authorize, sign_in};

/// One parameter of an authorization request, as it came and decoded.
#[must_use]
pub fn parameter(query: &str, name: &str) -> (Option<String>, Option<String>) {
    authorize::parameter(query, name)
}

/// Whom a provider's claims describe, with what userinfo adds.
#[must_use]
pub fn principal(
    claims: Map<String, Value>,
    userinfo: Map<String, Value>,
    provider: &OidcProvider,
) -> Option<Principal> {
    sign_in::principal(claims, userinfo, provider)
}
