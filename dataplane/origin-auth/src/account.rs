//! Details of a person's account at an origin, for pages and the API.

use std::sync::Arc;

use portcullis_clock::UnixMillis;
use portcullis_policy::{CredentialSubject, Origin, PrincipalId};

use crate::{ConnectionStatus, CredentialBroker, CredentialError};

/// Details of a person's connection to an origin, for pages. Contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// State of the connection.
    pub status: ConnectionStatus,
    /// Granted scopes, as the origin's authorization server names them. Empty if unknown or nothing is
    /// connected.
    pub scopes: Vec<String>,
    /// Scopes that the origin requested in addition and no consent has requested yet.
    pub wished: Vec<String>,
    /// When the person last consented.
    pub connected_at: Option<UnixMillis>,
    /// When the credential was last used for a call, to the hour.
    pub last_used_at: Option<UnixMillis>,
}

impl CredentialBroker {
    /// Reads the details of a person's connection to an origin from the store.
    ///
    /// # Errors
    /// On a temporary failure.
    pub async fn account(&self, who: &PrincipalId, origin: &Arc<Origin>) -> Result<Account, CredentialError> {
        if origin.credential_subject() != CredentialSubject::Person {
            let status = self.status(who, origin).await?;
            return Ok(Account {
                status,
                scopes: Vec::new(),
                wished: Vec::new(),
                connected_at: None,
                last_used_at: None,
            });
        }
        self.account_of(who, origin).await
    }

    pub(crate) async fn account_of(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Account, CredentialError> {
        let status = self.0.connection_status(who, origin).await?;
        let row = match status {
            ConnectionStatus::Connected | ConnectionStatus::ReconnectNeeded => {
                self.0.parts.store.connection(who.as_str(), &origin.uid).await?
            }
            ConnectionStatus::SignInNeeded
            | ConnectionStatus::NotNeeded
            | ConnectionStatus::NeverConnected
            | ConnectionStatus::AdminNeeded => None,
        };
        Ok(match row {
            None => Account {
                status,
                scopes: Vec::new(),
                wished: Vec::new(),
                connected_at: None,
                last_used_at: None,
            },
            Some(row) => Account {
                status,
                wished: self.pending_scopes(who, origin).await?,
                scopes: row.scope.split_whitespace().map(ToOwned::to_owned).collect(),
                connected_at: Some(UnixMillis(row.connected_at)),
                last_used_at: row.last_used_at.map(UnixMillis),
            },
        })
    }
}
