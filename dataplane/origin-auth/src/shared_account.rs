//! An account that an administrator connects once, for everybody who may use the origin. It is a connection like any other, of
//! somebody whom no identity provider and no program can be.

use std::sync::Arc;

use portcullis_policy::{CredentialSubject, Gateway, Origin};
use url::Url;

use crate::{Account, ConnectError, ConnectionStatus, CredentialBroker, CredentialError};

impl CredentialBroker {
    /// Begins consent of an administrator, for everybody; whoever calls this has seen that it is one. Otherwise as
    /// [`begin`](Self::begin), and it ends with [`finish`](Self::finish).
    ///
    /// # Errors
    /// As there, and where the origin has no account that everybody shares.
    pub async fn begin_shared(
        &self,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        return_to: &str,
    ) -> Result<Url, ConnectError> {
        if origin.credential_subject() != CredentialSubject::SharedAccount {
            return Err(ConnectError::NotNeeded);
        }
        self.begin_as(&self.0.shared_principal, gateway, origin, browser, return_to).await
    }

    /// How it stands with the account that everybody shares.
    ///
    /// # Errors
    /// When it cannot be told now.
    pub async fn shared_account(&self, origin: &Arc<Origin>) -> Result<Account, CredentialError> {
        self.account_of(&self.0.shared_principal, origin).await
    }
}

impl CredentialError {
    /// The same, as people see it: an account that is everybody's they cannot connect themselves.
    pub(crate) fn for_user(self, origin: &Origin) -> Self {
        match self {
            Self::NotConnected(_) if origin.credential_subject() == CredentialSubject::SharedAccount => {
                Self::NotConnected(ConnectionStatus::AdminNeeded)
            }
            other => other,
        }
    }
}
