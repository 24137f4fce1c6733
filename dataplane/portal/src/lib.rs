//! Everything that a person meets in a browser.
//!
//! ```text
//! authorize/   a client asks           -> may this client be answered at all   request.rs, answer.rs
//!              the browser approves    -> only then it is sent to sign in      pending.rs, consent.rs
//! sign_in/     the identity provider   -> a session                            start.rs, callback.rs, development.rs
//! authorize/   the person confirms     -> a code for the client                consent.rs
//! connect/     an account at an origin, from the consent page, the portal or a link
//! home.rs      what a person may use, and how         recipes.rs
//! mine/        what they have connected and given     /connections, /clients
//! admin/       ending what others have                /admin
//! api/         all of that as JSON                    /api
//! ```
//!
//! *Architecture invariants:* nobody is sent to an identity provider, and no state is made, before the browser has approved what
//! for (the confused deputy of the MCP security practices). Every form carries a token and is posted from our own pages. No page
//! runs a script, and every POST is answered by a page of ours, so that `form-action 'self'` holds whatever comes after.

mod account;
mod admin;
mod api;
mod authorize;
mod client_setup;
mod connect;
mod cookies;
mod digest;
mod error;
mod forms;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod home;
mod layout;
mod page;
mod paths;
mod portal;
mod sign_in;
mod time_format;
mod visitor;
mod welcome;

pub use connect::ConnectLinkError;
pub use portal::{Portal, PortalDependencies};
