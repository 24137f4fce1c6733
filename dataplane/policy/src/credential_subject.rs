use portcullis_config::OriginAuth;

use crate::{Origin, Route};

/// As whom calls go out to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSubject {
    /// As nobody, or with something static that an administrator wrote down.
    None,
    /// As the gateway itself, which gets its tokens in its own name.
    Gateway,
    /// With one account that an administrator has connected for everybody.
    SharedAccount,
    /// As the person who calls, with an account that they have connected.
    Person,
    /// As the person who calls, with what their sign-in at the identity provider gives.
    SignIn,
}

impl Origin {
    /// As whom calls go out to it.
    #[must_use]
    pub fn credential_subject(&self) -> CredentialSubject {
        match &self.auth {
            OriginAuth::None | OriginAuth::Header { .. } | OriginAuth::QueryParameter { .. } => {
                CredentialSubject::None
            }
            OriginAuth::SharedOAuth { .. } => CredentialSubject::SharedAccount,
            OriginAuth::ClientCredentials { .. } => CredentialSubject::Gateway,
            OriginAuth::UserOAuth { .. } => CredentialSubject::Person,
            OriginAuth::TokenExchange { .. } | OriginAuth::IdJag { .. } => CredentialSubject::SignIn,
        }
    }
}

impl Route {
    /// Whether each user has to connect an account of their own at the origin.
    #[must_use]
    pub fn needs_account(&self) -> bool {
        self.origin.credential_subject() == CredentialSubject::Person
    }
}
