use std::sync::Arc;

use portcullis_clock::UnixMillis;
use portcullis_policy::Principal;

/// Who is behind a request, and through which grant.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The person, as the identity provider last described them.
    pub principal: Principal,
    /// The client that acts for them.
    pub client_id: Arc<str>,
    /// Its own name, as it was when the token was issued.
    pub client_name: Arc<str>,
    /// The grant that the token belongs to; what revocation names.
    pub grant_id: Arc<str>,
    /// When the access token ends.
    pub expires: UnixMillis,
}

/// Why an access token was not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticateError {
    /// Whether it may be honoured cannot be known now: the store does not answer. Not the client's fault; it should try again.
    #[error("the gateway cannot check access tokens at the moment; try again shortly")]
    Unavailable,
    /// It is not honoured; the sentence says why, and may be shown to the client.
    #[error("{0}")]
    Invalid(&'static str),
    /// It is honoured here, and was given for less than a call takes (RFC 6750 section 3.1). Never said of teams: another token
    /// would change nothing there.
    #[error("the access token was not given for the scope mcp")]
    InsufficientScope,
}
