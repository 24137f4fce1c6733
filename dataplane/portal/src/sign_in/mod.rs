//! Signing in at an identity provider.
//!
//! ```text
//! start.rs         creates state, nonce and PKCE, bound to the browser for ten minutes
//! callback.rs      the return from the provider
//! development.rs   the alternative for development: a list of users
//! loopback.rs      restricts the development sign-in to this machine
//! session.rs       stores principal and session, sets a new session cookie
//! sign_out.rs      the user signs out
//! backchannel.rs   the provider reports that the user has logged out there
//! ```
//! The crate `identity-providers` implements the protocols.

pub(crate) mod backchannel;
pub(crate) mod callback;
pub(crate) mod development;
mod loopback;
mod session;
pub(crate) mod sign_out;
pub(crate) mod start;
