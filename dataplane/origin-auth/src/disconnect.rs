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
    /// Forgets first and revokes then: whether the provider answers does not decide whether the gateway keeps a credential.
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

    /// The same for what was granted to an origin that has changed since: it is of no use there, and is not left lying about.
    /// Whether the provider answers is not waited for.
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

    /// Revokes what another consent has replaced, unless that went to the same client of the same authorization server: there
    /// many servers take a revoked refresh token for the end of everything that the person has granted to the client.
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

    /// Forgets many at once. Whether their providers answer is not waited for.
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

    /// What is left to do for a connection that is not in the store any more.
    async fn revoke_removed(&self, who: &PrincipalId, origin: &Origin, row: ConnectionRow) {
        let failure = self.revoke_row(origin, row).await;
        self.record(EventKind::Disconnected, who, None, origin, failure).await;
    }

    /// What went wrong, if anything did. What does not open can be revoked by nobody.
    async fn revoke_row(&self, origin: &Origin, row: ConnectionRow) -> Option<Failure> {
        let connection = Connection::open(row, &self.parts.keys.sealing)?;
        let revoked = self.revoke(origin, &connection).await;
        revoked.err().map(|problem| Failure::upstream("not_revoked_at_origin", problem))
    }

    /// RFC 7009, at the endpoint that was known when the connection was made. It is not sealed with the tokens as the token
    /// endpoint is, so they go there only where it is the same server. The refresh token first: a server that honours it ends the
    /// access tokens of the same grant too.
    async fn revoke(&self, origin: &Origin, connection: &Connection) -> Result<(), String> {
        let Some(endpoint) = &connection.row.revocation_endpoint else { return Ok(()) };
        let endpoint: Url = endpoint.parse().map_err(|_| "the revocation endpoint is no URL".to_owned())?;
        let client = self.client_for(origin, connection)?;
        if endpoint.origin() != connection.token_endpoint.origin() {
            return Err("the revocation endpoint is on another host than the token endpoint, so what that gave does not go there".to_owned());
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
