//! What the vault needs from whoever keeps people's sessions at their identity providers.

use std::pin::Pin;

use ipnet::IpNet;
use portcullis_config::SubjectToken;
use portcullis_policy::PrincipalId;
use secrecy::SecretString;

/// What [`IdentityTokenSource::token`] returns.
pub type IdentityTokenFuture<'a> =
    Pin<Box<dyn Future<Output = Result<IdentityToken, IdentityTokenError>> + Send + 'a>>;

/// Keeps people's sessions at their identity providers, and gets tokens that speak of them.
pub trait IdentityTokenSource: Send + Sync {
    /// A token of this very person, valid for at least a minute more.
    ///
    /// # Errors
    /// When there is no session to get one from, the provider refuses, or does not answer. Programs have no session.
    fn token<'a>(&'a self, who: &'a PrincipalId, kind: SubjectToken) -> IdentityTokenFuture<'a>;
}

/// A token that speaks of a person, and who gave it. Has no `Debug`: it holds a secret.
pub struct IdentityToken {
    /// The token.
    pub token: SecretString,
    /// The provider that gave it, where it can be exchanged.
    pub provider: IdentityProviderClient,
}

/// The gateway as a client of an identity provider. Has no `Debug`: it may hold a secret.
pub struct IdentityProviderClient {
    /// Its issuer identifier.
    pub issuer: String,
    /// The client that the token was given to.
    pub client_id: String,
    /// Its secret; absent for a public client.
    pub client_secret: Option<SecretString>,
    /// Networks beyond the public internet in which the provider may live.
    pub private_networks: Vec<IpNet>,
    /// Extra trust anchors, PEM.
    pub ca_bundle_pem: Option<String>,
}

/// There is no token that speaks of a person.
#[derive(Debug, thiserror::Error)]
pub enum IdentityTokenError {
    /// No session of theirs is kept: they have to sign in (again).
    #[error("no session of this person's at their identity provider is kept")]
    NoSession,
    /// The provider has ended the session: they have to sign in again.
    #[error("the identity provider refuses: {0}")]
    Refused(String),
    /// It cannot be told now.
    #[error("the identity provider does not answer: {0}")]
    Unavailable(String),
}
