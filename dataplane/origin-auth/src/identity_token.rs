//! The interface to users' sessions at their identity providers, which token exchange needs.

use std::pin::Pin;

use ipnet::IpNet;
use portcullis_config::SubjectToken;
use portcullis_policy::PrincipalId;
use secrecy::SecretString;

use crate::error::BoxError;

/// What [`IdentityTokenSource::token`] returns.
pub type IdentityTokenFuture<'a> =
    Pin<Box<dyn Future<Output = Result<IdentityToken, IdentityTokenError>> + Send + 'a>>;

/// Issues identity tokens from users' sessions at their identity providers.
pub trait IdentityTokenSource: Send + Sync {
    /// Returns a token of exactly this person, valid for at least another minute.
    ///
    /// # Errors
    /// If there is no session, or the provider rejects the request or is unavailable. Workloads have no
    /// session.
    fn token<'a>(&'a self, who: &'a PrincipalId, kind: SubjectToken) -> IdentityTokenFuture<'a>;
}

/// A person's identity token and its issuer. No `Debug`: it holds a secret.
pub struct IdentityToken {
    /// The token.
    pub token: SecretString,
    /// The provider that issued it, where it can be exchanged.
    pub provider: IdentityProviderClient,
}

/// The gateway as a client of an identity provider. No `Debug`: it may hold a secret.
pub struct IdentityProviderClient {
    /// Its issuer identifier.
    pub issuer: String,
    /// The client that the token was issued to.
    pub client_id: String,
    /// Its secret; absent for a public client.
    pub client_secret: Option<SecretString>,
    /// Private networks in which the provider may be reached.
    pub private_networks: Vec<IpNet>,
    /// Extra trust anchors, PEM.
    pub ca_bundle_pem: Option<String>,
}

/// No identity token could be obtained.
#[derive(Debug, thiserror::Error)]
pub enum IdentityTokenError {
    /// No session of this person is stored: they have to sign in, possibly again.
    #[error("no session of this person at their identity provider is stored")]
    NoSession,
    /// The provider has ended the session: they have to sign in again.
    #[error("the identity provider ended the session: {0}")]
    Refused(String),
    /// A temporary failure.
    #[error("the identity provider is unavailable: {0}")]
    Unavailable(#[source] BoxError),
}
