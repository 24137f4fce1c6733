//! Stored connections: reads, seals and deletes them, and keeps the cache and subscribers up to date.

use std::sync::Arc;

use portcullis_clock::{Clock, Random};
use portcullis_keyring::SealError;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{ConnectionRow, Store};

use crate::connection::{Connection, Tokens, is_bound_to};
use crate::connection_changes::ConnectionChanges;
use crate::credential_cache::CredentialCache;
use crate::sealer::CredentialSealer;
use crate::{BrokerDependencies, ConnectionStatus, Credential, CredentialError};

/// The connections in the store.
pub(crate) struct ConnectionStore {
    store: Store,
    clock: Clock,
    random: Random,
    sealer: Arc<CredentialSealer>,
    cache: Arc<CredentialCache>,
    changes: Arc<ConnectionChanges>,
}

impl ConnectionStore {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        sealer: &Arc<CredentialSealer>,
        cache: &Arc<CredentialCache>,
        changes: &Arc<ConnectionChanges>,
    ) -> Self {
        Self {
            store: dependencies.store.clone(),
            clock: dependencies.clock.clone(),
            random: dependencies.random.clone(),
            sealer: Arc::clone(sealer),
            cache: Arc::clone(cache),
            changes: Arc::clone(changes),
        }
    }

    /// Seals tokens for this row. They only open with a row of the same binding.
    pub(crate) fn seal(&self, tokens: &Tokens, row: &ConnectionRow) -> Result<String, SealError> {
        tokens.seal(&self.sealer, row)
    }

    /// Decrypts a row. `None` if it was changed or its key is missing.
    pub(crate) fn open(&self, row: ConnectionRow) -> Option<Connection> {
        Connection::open(row, &self.sealer)
    }

    /// Reads a connection. An error if it is not usable or does not match the origin.
    pub(crate) async fn load(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<Connection, CredentialError> {
        let row = self.store.connection(who.as_str(), &origin.uid).await?;
        let row = row.ok_or(CredentialError::NotConnected(ConnectionStatus::NeverConnected))?;
        if row.dead != 0 || !is_bound_to(&row, origin) {
            return Err(CredentialError::NotConnected(ConnectionStatus::ReconnectNeeded));
        }
        self.open(row).ok_or_else(|| {
            tracing::warn!(origin = %origin.name, "failed to open a stored connection; its sealing key is missing");
            CredentialError::NotConnected(ConnectionStatus::ReconnectNeeded)
        })
    }

    /// Reads the state of a connection.
    pub(crate) async fn status(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<ConnectionStatus, CredentialError> {
        match self.load(who, origin).await {
            Ok(connection) => {
                let now = self.clock.now();
                let expired = connection.expires_at().is_some_and(|expires_at| expires_at <= now);
                Ok(match connection.tokens.refresh {
                    None if expired => ConnectionStatus::ReconnectNeeded,
                    _ => ConnectionStatus::Connected,
                })
            }
            Err(CredentialError::NotConnected(status)) => Ok(status),
            Err(error) => Err(error),
        }
    }

    /// Caches the credential of a row that was just stored, and publishes the change. `None` if the token
    /// cannot be sent in a header. The caller holds the lock of `who` and `origin`.
    pub(crate) fn publish_connected(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        row: ConnectionRow,
    ) -> Option<Credential> {
        let credential = self.open(row).map(|connection| {
            let refresh_at = connection.refresh_at();
            self.cache.insert_connection(who, origin, &connection, refresh_at)
        });
        self.changes.publish(who, origin, true);
        credential
    }

    /// Marks a connection as dead and publishes the change. `false` if the connection changed meanwhile.
    pub(crate) async fn mark_dead(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        row: &ConnectionRow,
    ) -> Result<bool, CredentialError> {
        let revision = self.random.token()?;
        let marked = self.store.mark_connection_dead(row, &revision).await?;
        if marked {
            self.cache.invalidate(who, &origin.uid);
            self.changes.publish(who, origin, false);
        }
        Ok(marked)
    }

    /// Deletes a connection and publishes the change. Returns the deleted row.
    pub(crate) async fn remove(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<Option<ConnectionRow>, CredentialError> {
        let lock = self.cache.refresh_state(who, &origin.uid);
        let _guard = lock.lock().await;
        let row = self.store.remove_connection(who.as_str(), &origin.uid, self.clock.now().0).await?;
        self.cache.invalidate(who, &origin.uid);
        if row.is_some() {
            self.changes.publish(who, origin, false);
        }
        Ok(row)
    }
}
