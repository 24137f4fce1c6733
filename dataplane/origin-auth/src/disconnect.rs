//! Deletes connections, and revokes their tokens at the authorization server (RFC 7009).

use std::sync::Arc;

use portcullis_events::EventKind;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{ConnectionFilter, ConnectionRow};
use url::Url;

use crate::audit::Failure;
use crate::connection::Connection;
use crate::token::{REQUEST_TIMEOUT, sanitize};
use crate::{CredentialError, Inner};

impl Inner {
    /// Deletes first, then revokes: the gateway deletes a credential even if the provider does not respond.
    pub(crate) async fn disconnect(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<(), CredentialError> {
        if let Some(row) = self.remove(who, origin).await? {
            self.revoke_removed(who, origin, row).await;
        }
        Ok(())
    }

    /// Like [`disconnect`](Self::disconnect), for a connection that no longer matches the origin. Revokes in
    /// the background.
    pub(crate) async fn disconnect_in_background(
        self: &Arc<Self>,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<(), CredentialError> {
        if let Some(row) = self.remove(who, origin).await? {
            let (inner, who, origin) = (Arc::clone(self), who.clone(), Arc::clone(origin));
            tokio::spawn(async move { inner.revoke_removed(&who, &origin, row).await });
        }
        Ok(())
    }

    /// Revokes a connection that another consent has replaced, unless both belong to the same client of the
    /// same authorization server. There, many servers treat a revoked refresh token as the end of everything
    /// that the person granted to the client.
    pub(crate) fn revoke_replaced(
        self: &Arc<Self>,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        old: ConnectionRow,
        new: &ConnectionRow,
    ) {
        if old.issuer == new.issuer && old.client_id == new.client_id {
            return;
        }
        let (inner, who, origin) = (Arc::clone(self), who.clone(), Arc::clone(origin));
        tokio::spawn(async move {
            if let Some(failure) = inner.revoke_row(&origin, old).await {
                inner.record(EventKind::UpstreamRequest, &who, None, &origin, Some(failure)).await;
            }
        });
    }

    async fn remove(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<Option<ConnectionRow>, CredentialError> {
        let gate = self.cache.refresh_state(who, origin);
        let _alone = gate.lock().await;
        let now = self.parts.clock.now();
        let row = self.parts.store.remove_connection(who.as_str(), &origin.uid, now.0).await?;
        self.cache.invalidate(who, origin);
        if row.is_some() {
            self.publish_change(who, origin, false);
        }
        Ok(row)
    }

    /// Deletes all matching connections. Revokes them in the background.
    pub(crate) async fn disconnect_all(
        self: &Arc<Self>,
        whose: ConnectionFilter<'_>,
        origins: impl Fn(&str) -> Option<Arc<Origin>>,
    ) -> Result<usize, CredentialError> {
        let mut count = 0;
        loop {
            let rows = self.parts.store.remove_connections(whose, self.parts.clock.now().0).await?;
            if rows.is_empty() {
                return Ok(count);
            }
            count += rows.len();
            let mut revocable = Vec::new();
            for row in rows {
                let who = PrincipalId::from_stored(&row.principal_id);
                self.apply_change(&who, &row.origin_uid.as_str().into(), false);
                if let Some(origin) = origins(&row.origin_uid) {
                    revocable.push((who, origin, row));
                }
            }
            let inner = Arc::clone(self);
            tokio::spawn(async move {
                for (who, origin, row) in revocable {
                    inner.revoke_removed(&who, &origin, row).await;
                }
            });
        }
    }

    /// Revokes a connection that is already deleted from the store, and records the event.
    async fn revoke_removed(&self, who: &PrincipalId, origin: &Origin, row: ConnectionRow) {
        let failure = self.revoke_row(origin, row).await;
        self.record(EventKind::Disconnected, who, None, origin, failure).await;
    }

    /// Returns the failure, if any. A row that cannot be opened cannot be revoked.
    async fn revoke_row(&self, origin: &Origin, row: ConnectionRow) -> Option<Failure> {
        let connection = Connection::open(row, &self.parts.keys.sealing)?;
        let revoked = self.revoke(origin, &connection).await;
        revoked.err().map(|problem| Failure::upstream("not_revoked_at_origin", problem))
    }

    /// RFC 7009, at the endpoint that was known when the connection was made. Unlike the token endpoint, the
    /// revocation endpoint is not sealed with the tokens, so they are only sent to it on the same server. The
    /// refresh token comes first: a server that follows the RFC then also revokes the access tokens of the
    /// grant.
    async fn revoke(&self, origin: &Origin, connection: &Connection) -> Result<(), String> {
        let Some(endpoint) = &connection.row.revocation_endpoint else { return Ok(()) };
        let endpoint: Url =
            endpoint.parse().map_err(|_| "the revocation endpoint is not a valid URL".to_owned())?;
        let client = self.client_for(origin, connection)?;
        if endpoint.origin() != connection.token_endpoint.origin() {
            return Err("the revocation endpoint is on a different host than the token endpoint, so no token was sent to it".to_owned());
        }
        let http = self.http(origin).map_err(|error| error.to_string())?;
        let tokens = &connection.tokens;
        let refresh = tokens.refresh.as_ref().map(|token| (token.as_str(), "refresh_token"));
        for (token, hint) in refresh.into_iter().chain([(tokens.access.as_str(), "access_token")]) {
            let request = http.post(endpoint.clone()).timeout(REQUEST_TIMEOUT);
            let authentication = client.authentication().map_err(|error| error.to_string())?;
            let request = authentication.form(request, &[("token", token), ("token_type_hint", hint)]);
            let answer = http.send(request, 64 * 1024).await.map_err(|error| error.to_string())?;
            if !answer.status.is_success() {
                return Err(sanitize(&format!(
                    "the revocation endpoint answered with status {}",
                    answer.status.as_u16()
                )));
            }
        }
        Ok(())
    }
}
