//! The identity with which an origin receives calls.

use portcullis_config::OriginAuth;

use crate::{Origin, Route};

/// The identity with which the gateway calls an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSubject {
    /// No credential, or a static one that an administrator configured.
    None,
    /// The gateway itself, with its own tokens.
    Gateway,
    /// One shared account, connected by an administrator.
    SharedAccount,
    /// The caller's own connected account.
    Person,
    /// The caller, with tokens from their sign-in at the identity provider.
    SignIn,
}

impl Origin {
    /// The identity with which the gateway calls this origin.
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

    /// Whether tasks are available. An origin binds a task to the credential that started it, so users who share
    /// one could read and cancel each other's tasks.
    #[must_use]
    pub fn allows_tasks(&self) -> bool {
        self.is_personal()
    }

    /// Whether each user reaches this origin with their own account, so that what it shows may differ from
    /// user to user.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.auth.is_personal()
    }

    /// Whether what this origin shows to one user's account must not be shown to other users.
    #[must_use]
    pub fn has_private_catalog(&self) -> bool {
        self.is_personal() && self.catalog_sharing.is_private()
    }
}

impl Route {
    /// Whether each user must connect their own account at the origin.
    #[must_use]
    pub fn needs_account(&self) -> bool {
        self.origin.credential_subject() == CredentialSubject::Person
    }
}
