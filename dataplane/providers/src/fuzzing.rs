//! What meets strangers' bytes, shown to the fuzz targets of `tests/fuzz` and to nobody else.

use portcullis_contract::ProviderClient;
use portcullis_policy::Principal;

use crate::{Claims, Description, person};

/// Whom a provider's claims describe, with what userinfo adds.
#[must_use]
pub fn principal(mut claims: Claims, userinfo: Claims, provider: &ProviderClient) -> Option<Principal> {
    person::complete(&mut claims, userinfo);
    Description::read(&claims, provider).ok().map(|description| description.principal("company", None))
}
