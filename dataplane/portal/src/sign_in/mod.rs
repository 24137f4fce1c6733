//! Signing in at an identity provider.
//!
//! ```text
//! start.rs         state, nonce and PKCE, bound to the browser and kept for ten minutes; off to the provider
//! callback.rs      back from there
//! development.rs   or a choice from a list
//! loopback.rs      ... which nobody but this machine may reach
//! session.rs       who it is, remembered; a new session cookie
//! sign_out.rs      until the person leaves here
//! backchannel.rs   or the provider says that they have left there
//! ```
//! What is said to providers, and what they say, is for the room `providers`.

pub(crate) mod backchannel;
pub(crate) mod callback;
pub(crate) mod development;
mod loopback;
mod session;
pub(crate) mod sign_out;
pub(crate) mod start;
