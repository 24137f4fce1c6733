//! An account that an administrator connects once for all users of the origin. It is stored like any other
//! connection, under a principal that no identity provider and no workload can have.

use std::sync::Arc;

use portcullis_policy::{CredentialSubject, Gateway, Origin};
use url::Url;

use crate::{Account, ConnectError, ConnectionStatus, CredentialBroker, CredentialError};

impl CredentialBroker {
    /// Begins consent by an administrator for the shared account. The caller has verified that the person is
    /// an administrator. Otherwise like [`begin`](Self::begin); [`finish`](Self::finish) completes it.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin), and if the origin has no shared account.
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

    /// Reads the details of the shared account from the store.
    ///
    /// # Errors
    /// On a temporary failure.
    pub async fn shared_account(&self, origin: &Arc<Origin>) -> Result<Account, CredentialError> {
        self.account_of(&self.0.shared_principal, origin).await
    }
}

impl CredentialError {
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
