//! Deletes connections, and revokes their tokens at the authorization server if possible.

use std::sync::Arc;

use portcullis_clock::Clock;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{ConnectionFilter, Store};

use crate::connection_changes::ConnectionChanges;
use crate::connection_store::ConnectionStore;
use crate::revoke::TokenRevoker;
use crate::{BrokerDependencies, CredentialError};

/// Disconnects accounts. It deletes first, then revokes: the gateway deletes a credential even if the
/// provider does not respond.
pub struct Disconnector {
    store: Store,
    clock: Clock,
    connections: Arc<ConnectionStore>,
    changes: Arc<ConnectionChanges>,
    revoker: Arc<TokenRevoker>,
}

impl Disconnector {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        connections: &Arc<ConnectionStore>,
        changes: &Arc<ConnectionChanges>,
        revoker: &Arc<TokenRevoker>,
    ) -> Self {
        Self {
            store: dependencies.store.clone(),
            clock: dependencies.clock.clone(),
            connections: Arc::clone(connections),
            changes: Arc::clone(changes),
            revoker: Arc::clone(revoker),
        }
    }

    /// Deletes a person's credential at an origin, then revokes it there (RFC 7009) if possible.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn disconnect(&self, who: &PrincipalId, origin: &Arc<Origin>) -> Result<(), CredentialError> {
        if let Some(row) = self.connections.remove(who, origin).await? {
            self.revoker.revoke_removed(who, origin, row).await;
        }
        Ok(())
    }

    /// Like [`disconnect`](Self::disconnect), for a connection that no longer matches the origin. Revokes in
    /// the background.
    pub(crate) async fn disconnect_in_background(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<(), CredentialError> {
        if let Some(row) = self.connections.remove(who, origin).await? {
            let (revoker, who, origin) = (Arc::clone(&self.revoker), who.clone(), Arc::clone(origin));
            tokio::spawn(async move { revoker.revoke_removed(&who, &origin, row).await });
        }
        Ok(())
    }

    /// Deletes the credentials of all persons at an origin and returns their number. Revocation at the
    /// authorization server, where possible, continues after this returns.
    ///
    /// # Errors
    /// If the store fails. Some credentials may then be deleted; another call continues with the rest.
    pub async fn disconnect_everybody(&self, origin: &Arc<Origin>) -> Result<usize, CredentialError> {
        let filter = ConnectionFilter::Origin(&origin.uid);
        self.disconnect_all(filter, |uid| (*uid == *origin.uid).then(|| Arc::clone(origin))).await
    }

    /// Deletes all credentials of one person and returns their number. `origins` finds an origin by its UID.
    /// If an origin is no longer served, its credential is deleted without being revoked.
    ///
    /// # Errors
    /// As for [`disconnect_everybody`](Self::disconnect_everybody).
    pub async fn disconnect_everywhere(
        &self,
        who: &PrincipalId,
        origins: impl Fn(&str) -> Option<Arc<Origin>>,
    ) -> Result<usize, CredentialError> {
        self.disconnect_all(ConnectionFilter::Person(who.as_str()), origins).await
    }

    /// Deletes all matching connections. Revokes them in the background.
    async fn disconnect_all(
        &self,
        filter: ConnectionFilter<'_>,
        origins: impl Fn(&str) -> Option<Arc<Origin>>,
    ) -> Result<usize, CredentialError> {
        let mut count = 0;
        loop {
            let rows = self.store.remove_connections(filter, self.clock.now().0).await?;
            if rows.is_empty() {
                return Ok(count);
            }
            count += rows.len();
            let mut revocable = Vec::new();
            for row in rows {
                let who = PrincipalId::from_stored(&row.principal_id);
                self.changes.apply(&who, &row.origin_uid.as_str().into(), false);
                if let Some(origin) = origins(&row.origin_uid) {
                    revocable.push((who, origin, row));
                }
            }
            let revoker = Arc::clone(&self.revoker);
            tokio::spawn(async move {
                for (who, origin, row) in revocable {
                    revoker.revoke_removed(&who, &origin, row).await;
                }
            });
        }
    }
}
