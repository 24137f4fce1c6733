//! The authorization server towards MCP clients, without its pages: who the clients are, what they were granted, the tokens that
//! show it, and the metadata that leads there.
//!
//! ```text
//! a client arrives    client/            registered, or described by a document at its id
//! it is approved      code.rs            (by the portal's pages) a code, single use
//! it redeems it       endpoint/token     a grant: access token, refresh token
//! it calls            authenticate.rs    from memory: signature remembered, grant not revoked, person as last described
//! it goes on          renewal.rs         while its person is somebody at their identity provider
//! it ends             end.rs             by its client, its person, an administrator: the log of changes, which every replica follows: feed.rs
//! ```
//!
//! *Architecture invariant:* a token that was verified once is honoured again without the store, yet never past a revocation:
//! that check is made on every call, in memory.

mod authenticate;
mod authorization_code;
mod authorization_server;
mod caller;
mod claims;
mod client;
mod digest;
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
