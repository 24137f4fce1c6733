//! Parsers of untrusted input, exposed only to the fuzz targets in `tests/fuzz`.

use portcullis_config::ProviderClient;
use portcullis_policy::Principal;

use crate::{UserClaims, UserProfile, user_profile};

/// The principal that a provider's claims and its userinfo response describe.
#[must_use]
pub fn principal(
    mut claims: UserClaims,
    userinfo: UserClaims,
    provider: &ProviderClient,
) -> Option<Principal> {
    user_profile::merge_userinfo(&mut claims, userinfo);
    UserProfile::read(&claims, provider).ok().map(|description| description.principal("company", None))
}
