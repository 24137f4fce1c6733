use portcullis_clock::NoRandomness;
use portcullis_egress::EgressError;
use portcullis_store::StoreError;

use crate::ConnectionStatus;

/// There is no credential to send.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialError {
    /// The person has to connect an account, for the first time or again.
    #[error("no account is connected at the origin")]
    NotConnected(ConnectionStatus),
    /// The person's sign-in does not give them a token for the origin.
    #[error("no token for the origin was given: {0}; an administrator has to look at it")]
    Refused(String),
    /// The origin refuses what the gateway is configured with.
    #[error("the origin does not accept the gateway's credential; an administrator has to look at it")]
    Rejected,
    /// It cannot be told now; the same request may succeed later.
    #[error("the credential for the origin is not available now: {0}")]
    Unavailable(String),
}

impl From<StoreError> for CredentialError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<NoRandomness> for CredentialError {
    fn from(error: NoRandomness) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// An account could not be connected. The messages are for the person in front of the browser, and say who can mend it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The origin wants no account of a person's.
    #[error("this origin does not use accounts of its users, so there is nothing to connect")]
    NotNeeded,
    /// The answer does not belong to a flow that this browser began within the last ten minutes.
    #[error(
        "this link belongs to another browser, has been used, or is older than ten minutes: start connecting again"
    )]
    UnknownFlow,
    /// The origin changed while the person was away.
    #[error("the origin's settings changed while you were connecting: start again")]
    OriginChanged,
    /// The answer came from another authorization server than the one that was asked (RFC 9207).
    #[error(
        "the answer does not come from the authorization server that was asked, so it was discarded: start connecting again; if it happens twice, tell an administrator"
    )]
    WrongIssuer,
    /// The person refused, or the provider did.
    #[error("the provider did not give access: {0}")]
    Refused(String),
    /// No token for the code.
    #[error("the provider gave no token: {0}; start connecting again")]
    NoToken(String),
    /// What the origin or its authorization server says of itself does not hold.
    #[error("the origin cannot be connected: {0}; an administrator has to look at it")]
    Discovery(String),
    /// The gateway is no client of the authorization server and cannot become one.
    #[error("the gateway is not known to the origin's authorization server: {0}")]
    Registration(String),
    /// Somebody does not answer.
    #[error("the provider does not answer: {0}; try again in a moment")]
    Outbound(#[from] EgressError),
    /// The gateway's own trouble.
    #[error("the gateway cannot do this now: {0}; try again in a moment")]
    Unavailable(String),
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<NoRandomness> for ConnectError {
    fn from(error: NoRandomness) -> Self {
        Self::Unavailable(error.to_string())
    }
}
