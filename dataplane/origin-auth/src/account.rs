//! Details of a person's account at an origin, for pages and the API.

use std::sync::Arc;

use portcullis_clock::UnixMillis;
use portcullis_policy::{CredentialSubject, Origin, PrincipalId};
use portcullis_store::Store;

use crate::connection_store::ConnectionStore;
use crate::step_up::RequestedScopes;
use crate::{BrokerDependencies, CredentialError};

/// State of a person's connection to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// The origin needs no account.
    NotNeeded,
    /// There is a usable credential.
    Connected,
    /// The person never connected an account, or disconnected it.
    NeverConnected,
    /// The stored credential no longer works: the person has to consent again.
    ReconnectNeeded,
    /// The credential comes from the person's sign-in and none is stored: they have to sign in again.
    SignInNeeded,
    /// The account is shared by all users, and an administrator has to connect it, for the first time or
    /// again.
    AdminNeeded,
}

/// Details of a person's connection to an origin, for pages. Contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// State of the connection.
    pub status: ConnectionStatus,
    /// Granted scopes, as the origin's authorization server names them. Empty if unknown or nothing is
    /// connected.
    pub scopes: Vec<String>,
    /// Scopes that the origin requested in addition and no consent has requested yet.
    pub pending_scopes: Vec<String>,
    /// When the person last consented.
    pub connected_at: Option<UnixMillis>,
    /// When the credential was last used for a call, to the hour.
    pub last_used_at: Option<UnixMillis>,
}

impl Account {
    /// An account without a stored connection.
    fn without_connection(status: ConnectionStatus) -> Self {
        let (scopes, pending_scopes) = (Vec::new(), Vec::new());
        Self { status, scopes, pending_scopes, connected_at: None, last_used_at: None }
    }
}

/// Reads the state of accounts from the store.
pub struct Accounts {
    store: Store,
    connections: Arc<ConnectionStore>,
    requested_scopes: Arc<RequestedScopes>,
    shared_principal: PrincipalId,
}

impl Accounts {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        connections: &Arc<ConnectionStore>,
        requested_scopes: &Arc<RequestedScopes>,
    ) -> Self {
        Self {
            store: dependencies.store.clone(),
            connections: Arc::clone(connections),
            requested_scopes: Arc::clone(requested_scopes),
            shared_principal: PrincipalId::shared(),
        }
    }

    /// Returns the state of this person's connection to this origin.
    ///
    /// # Errors
    /// On a temporary failure.
    pub async fn status(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<ConnectionStatus, CredentialError> {
        match origin.credential_subject() {
            CredentialSubject::None | CredentialSubject::Gateway | CredentialSubject::SignIn => {
                Ok(ConnectionStatus::NotNeeded)
            }
            CredentialSubject::Person => self.connections.status(who, origin).await,
            CredentialSubject::SharedAccount => {
                Ok(match self.connections.status(&self.shared_principal, origin).await? {
                    ConnectionStatus::Connected => ConnectionStatus::NotNeeded,
                    _ => ConnectionStatus::AdminNeeded,
                })
            }
        }
    }

    /// Returns the details of a person's connection to an origin.
    ///
    /// # Errors
    /// On a temporary failure.
    pub async fn account(&self, who: &PrincipalId, origin: &Arc<Origin>) -> Result<Account, CredentialError> {
        if origin.credential_subject() != CredentialSubject::Person {
            return Ok(Account::without_connection(self.status(who, origin).await?));
        }
        self.stored_account(who, origin).await
    }

    /// Returns the details of the account that all users share.
    ///
    /// # Errors
    /// On a temporary failure.
    pub async fn shared_account(&self, origin: &Arc<Origin>) -> Result<Account, CredentialError> {
        self.stored_account(&self.shared_principal, origin).await
    }

    async fn stored_account(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Account, CredentialError> {
        let status = self.connections.status(who, origin).await?;
        let row = match status {
            ConnectionStatus::Connected | ConnectionStatus::ReconnectNeeded => {
                self.store.connection(who.as_str(), &origin.uid).await?
            }
            ConnectionStatus::SignInNeeded
            | ConnectionStatus::NotNeeded
            | ConnectionStatus::NeverConnected
            | ConnectionStatus::AdminNeeded => None,
        };
        let Some(row) = row else { return Ok(Account::without_connection(status)) };
        Ok(Account {
            status,
            pending_scopes: self.requested_scopes.pending(who, origin).await?,
            scopes: row.scope.split_whitespace().map(ToOwned::to_owned).collect(),
            connected_at: Some(UnixMillis(row.connected_at)),
            last_used_at: row.last_used_at.map(UnixMillis),
        })
    }
}
