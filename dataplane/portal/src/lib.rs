//! All pages that users see in a browser, and their JSON API.
//!
//! ```text
//! authorize/   a client requests access -> client and redirect URI are checked    request.rs, redirect.rs
//!              the browser approves     -> the user is sent to sign in            pending.rs, consent.rs
//! sign_in/     the identity provider    -> a session                  start.rs, callback.rs, development.rs
//! authorize/   the user confirms        -> a code for the client                  consent.rs
//! connect/     an account at an origin, from the consent page, the portal or a link
//! home.rs      the servers that a user can use, and how to add them to a client   client_setup.rs
//! account/     the user's connections and clients      /connections, /clients
//! admin/       revoking other users' access            /admin
//! api/         the same as JSON                        /api
//! ```
//!
//! *Architecture invariants:*
//! * Before the browser has approved a request, no sign-in `state` is created, the browser gets no cookie,
//!   and nothing redirects to an identity provider (the confused deputy problem in the MCP security best
//!   practices).
//! * Every form has a token and is accepted only from the gateway's own pages.
//! * No page runs a script. Every form that leads to another site is answered with a page, not a redirect:
//!   browsers apply `form-action 'self'` to redirects too.

mod account;
mod admin;
mod api;
mod authorize;
mod client_setup;
mod connect;
mod cookies;
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
mod request;
mod sign_in;
mod time_format;
mod visitor;
mod welcome;

pub use connect::ConnectLinkError;
pub use portal::{Portal, PortalDependencies};
