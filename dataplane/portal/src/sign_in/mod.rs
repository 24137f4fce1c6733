//! Signing in at an identity provider.
//!
//! ```text
//! start.rs         state, nonce and PKCE, bound to the browser and kept for ten minutes; off to the provider
//! callback.rs      back from an OpenID provider
//! development.rs   or a choice from a list, on loopback
//! session.rs       who it is, remembered; a new session cookie
//! ```
//! `oidc.rs` speaks OpenID Connect; `claims.rs` reads what it says of a person.

pub(crate) mod callback;
mod claims;
pub(crate) mod development;
mod oidc;
mod session;
pub(crate) mod sign_out;
pub(crate) mod start;

pub(crate) use oidc::Providers;

/// Whom claims describe, with what userinfo adds.
#[cfg(fuzzing)]
pub(crate) fn principal(
    mut claims: claims::Claims,
    userinfo: claims::Claims,
    provider: &portcullis_contract::OidcProvider,
) -> Option<portcullis_policy::Principal> {
    claims::complete(&mut claims, userinfo);
    claims::principal("company", &claims, provider).ok()
}
