//! The authenticated caller of a request, and why authentication fails.

use std::sync::Arc;

use portcullis_clock::UnixMillis;
use portcullis_policy::Principal;

/// The principal, client and grant of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The principal, with the latest claims from the identity provider.
    pub principal: Principal,
    /// The client that acts for the principal.
    pub client_id: Arc<str>,
    /// Name of the client when the token was issued.
    pub client_name: Arc<str>,
    /// The grant that the token belongs to. Revocation refers to it.
    pub grant_id: Arc<str>,
    /// When the access token expires.
    pub expires: UnixMillis,
    /// When the grant ends. For workloads and identity assertions, it ends with the access token.
    pub grant_expires: UnixMillis,
}

/// An access token was rejected, or could not be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticateError {
    /// The token cannot be checked, because the store is unavailable. The client should try again.
    #[error("access tokens cannot be checked at the moment; try again shortly")]
    Unavailable,
    /// The token is invalid. The message says why, and may be sent to the client.
    #[error("{0}")]
    Invalid(&'static str),
    /// The token is valid but lacks the scope (RFC 6750, section 3.1). Not used for missing team access,
    /// which another token would not change.
    #[error("the access token lacks the scope mcp")]
    InsufficientScope,
}
