//! What meets strangers' bytes, shown to the fuzz targets of `tests/fuzz` and to nobody else.

use portcullis_config::ProviderClient;
use portcullis_policy::Principal;

use crate::{UserClaims, UserProfile, user_profile};

/// Whom a provider's claims describe, with what userinfo adds.
#[must_use]
pub fn principal(
    mut claims: UserClaims,
    userinfo: UserClaims,
    provider: &ProviderClient,
) -> Option<Principal> {
    user_profile::merge_userinfo(&mut claims, userinfo);
    UserProfile::read(&claims, provider).ok().map(|description| description.principal("company", None))
}
