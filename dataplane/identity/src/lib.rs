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
mod caller;
mod claims;
mod client;
mod code;
mod digest;
mod end;
mod endpoint;
mod error;
mod feed;
mod follow;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod identity;
mod issue;
mod issuer;
mod people;
mod renewal;
mod service_account;
#[cfg(test)]
mod testing;

pub use caller::{AuthenticateError, Caller};
pub use client::{Client, ClientError, RedirectError};
pub use code::Approved;
pub use end::Ended;
pub use error::IdentityError;
pub use identity::{Identity, IdentityParts};
pub use issuer::{Issuer, TargetError};
pub use service_account::{ReviewError, ReviewTokens, Reviewed, ServiceAccount};
