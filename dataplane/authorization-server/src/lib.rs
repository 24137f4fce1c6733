//! The OAuth authorization server for MCP clients: client registration, grants, tokens and metadata. Its
//! pages are in the portal.
//!
//! Each part is a type with the dependencies that it uses. [`AuthorizationServer`] builds all of them:
//!
//! ```text
//! client/                ClientRegistry       registered clients (RFC 7591) and metadata documents
//! authorization_code.rs  AuthorizationCodes   a single-use code after a user approved a client in the portal
//! endpoint/token.rs      TokenEndpoint        tokens for codes, refresh tokens, assertions (grant_types.rs)
//! issue_token.rs         TokenIssuer          signs access tokens
//! authenticate.rs        AccessTokenVerifier  in memory: signature, revocation, current principal
//! principals.rs          Principals           users, workloads and service accounts
//! renewal.rs             SignInRenewal        asks the identity provider when a client refreshes its tokens
//! revocation.rs          GrantRevocation      ends grants, for clients, users and administrators
//! revocation_feed.rs     RevocationFeed       the change log in memory: revoked grants, changed principals
//! feed_reader.rs         FeedReader           reads the change log, on every replica
//! prune.rs               ExpiredRows          deletes expired rows
//! ```
//!
//! *Architecture invariant:* a verified token is accepted again without the store, but never after its
//! revocation: every call checks revocation in memory.

mod authenticate;
mod authorization_code;
mod authorization_server;
mod caller;
mod challenge;
mod claims;
mod client;
mod endpoint;
mod error;
mod feed_reader;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod grant_event;
mod issue_token;
mod issuer;
mod principals;
mod prune;
mod renewal;
mod revocation;
mod revocation_feed;
mod service_account;
mod stream_renewal;
#[cfg(test)]
mod testing;

pub use authenticate::AccessTokenVerifier;
pub use authorization_code::{ApprovedRequest, AuthorizationCodes};
pub use authorization_server::{AuthorizationServer, AuthorizationServerDependencies};
pub use caller::{AuthenticateError, Caller};
pub use challenge::challenge;
pub use client::{Client, ClientError, ClientRegistry, DocumentError, MetadataError, RedirectError};
pub use error::InternalError;
pub use feed_reader::FeedReader;
pub use issuer::{Issuer, TargetError};
pub use principals::Principals;
pub use renewal::SignInRenewal;
pub use revocation::{GrantRevocation, RevokedCounts};
pub use service_account::{ServiceAccount, TokenReviewError, TokenReviewFuture, TokenReviewer};
