//! The OAuth authorization server for MCP clients: client registration, grants, tokens and metadata. Its
//! pages are in the portal.
//!
//! ```text
//! client/                registers clients (RFC 7591), or reads their metadata documents
//! authorization_code.rs  issues a single-use code after a user approved the client on the portal's pages
//! endpoint/token.rs      redeems the code: a grant with an access token and a refresh token
//! authenticate.rs        checks access tokens in memory: signature, revocation, current principal
//! renewal.rs             renews the sign-in at the identity provider when a client refreshes its tokens
//! revocation.rs          ends grants, for clients, users and administrators
//! revocation_feed.rs     the change log in memory: revoked grants and changed principals
//! follow_feed.rs         reads the change log, on every replica
//! ```
//!
//! *Architecture invariant:* a verified token is accepted again without the store, but never after its
//! revocation: every call checks revocation in memory.

mod authenticate;
mod authorization_code;
mod authorization_server;
mod caller;
mod claims;
mod client;
mod endpoint;
mod error;
mod follow_feed;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod issue_token;
mod issuer;
mod principals;
mod renewal;
mod revocation;
mod revocation_feed;
mod service_account;
#[cfg(test)]
mod testing;

pub use authorization_code::ApprovedRequest;
pub use authorization_server::{AuthorizationServer, AuthorizationServerDependencies};
pub use caller::{AuthenticateError, Caller};
pub use client::{Client, ClientError, RedirectError};
pub use error::InternalError;
pub use issuer::{Issuer, TargetError};
pub use revocation::RevokedCounts;
pub use service_account::{ServiceAccount, TokenReviewError, TokenReviewFuture, TokenReviewer};
