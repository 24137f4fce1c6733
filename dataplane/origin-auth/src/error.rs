//! Errors of the credential broker.

use std::error::Error;
use std::sync::Arc;

use portcullis_clock::NoRandomness;
use portcullis_egress::EgressError;
use portcullis_keyring::SealError;
use portcullis_policy::{CredentialSubject, Origin};
use portcullis_store::StoreError;

use crate::ConnectionStatus;
use crate::client::ClientError;

/// Cause of a [`ConnectError`] or an [`IdentityTokenError`](crate::IdentityTokenError).
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Cause of a [`CredentialError`]. Tasks that waited for the same credential share it.
pub type SharedError = Arc<dyn Error + Send + Sync>;

/// No credential can be sent with the call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialError {
    /// The person has to connect an account, for the first time or again.
    #[error("no usable account is connected at the origin")]
    NotConnected(ConnectionStatus),
    /// No token for the origin was issued for the person's sign-in.
    #[error("no token for the origin was issued: {0}; contact an administrator")]
    Refused(#[source] SharedError),
    /// The origin rejects the credential that the gateway is configured with.
    #[error("the origin rejected the gateway's credential; an administrator has to check it")]
    Rejected,
    /// A temporary failure: the same request may succeed later.
    #[error("the credential for the origin is temporarily unavailable: {0}")]
    Unavailable(#[source] SharedError),
}

impl CredentialError {
    pub(crate) fn unavailable(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Arc::new(cause))
    }

    /// The error as users see it: they cannot connect a shared account themselves.
    pub(crate) fn for_user(self, origin: &Origin) -> Self {
        match self {
            Self::NotConnected(_) if origin.credential_subject() == CredentialSubject::SharedAccount => {
                Self::NotConnected(ConnectionStatus::AdminNeeded)
            }
            other => other,
        }
    }
}

impl From<StoreError> for CredentialError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error)
    }
}

impl From<NoRandomness> for CredentialError {
    fn from(error: NoRandomness) -> Self {
        Self::unavailable(error)
    }
}

impl From<SealError> for CredentialError {
    fn from(error: SealError) -> Self {
        Self::unavailable(error)
    }
}

/// An account could not be connected. The messages are shown to the person and say who can fix the problem.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The origin does not use per-user accounts.
    #[error("this origin does not use accounts of its users, so there is nothing to connect")]
    NotNeeded,
    /// The callback does not match a flow that this browser began within the last ten minutes.
    #[error(
        "this link belongs to another browser, was already used, or is older than ten minutes; start connecting again"
    )]
    UnknownFlow,
    /// The origin's settings changed during the flow.
    #[error("the origin's settings changed while you were connecting; start again")]
    OriginChanged,
    /// The response came from another authorization server than the flow began with (RFC 9207).
    #[error(
        "the response came from an unexpected authorization server and was discarded; start connecting again. If it happens twice, contact an administrator"
    )]
    WrongIssuer,
    /// The person or the provider denied the request.
    #[error("the provider did not grant access: {0}")]
    Refused(String),
    /// The authorization code was not exchanged for a token.
    #[error("the provider issued no token: {0}; start connecting again")]
    NoToken(#[source] BoxError),
    /// The metadata of the origin or of its authorization server is missing or invalid.
    #[error("the origin cannot be connected: {0}; contact an administrator")]
    Discovery(String),
    /// The gateway is not a client of the authorization server and cannot register as one.
    #[error("the gateway cannot act as a client of the origin's authorization server: {0}")]
    Registration(#[source] BoxError),
    /// A request to the origin or its authorization server failed.
    #[error("a request to the provider failed: {0}; try again in a moment")]
    Outbound(#[from] EgressError),
    /// A temporary failure of the gateway itself, for example of its store.
    #[error("the gateway could not complete the request: {0}; try again in a moment")]
    Unavailable(#[source] BoxError),
}

impl ConnectError {
    pub(crate) fn unavailable(cause: impl Into<BoxError>) -> Self {
        Self::Unavailable(cause.into())
    }
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error)
    }
}

impl From<NoRandomness> for ConnectError {
    fn from(error: NoRandomness) -> Self {
        Self::unavailable(error)
    }
}

impl From<SealError> for ConnectError {
    fn from(error: SealError) -> Self {
        Self::unavailable(error)
    }
}

impl From<ClientError> for ConnectError {
    fn from(error: ClientError) -> Self {
        Self::Registration(error.into())
    }
}
