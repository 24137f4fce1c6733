//! Revokes tokens of deleted connections at the authorization server (RFC 7009).

use std::sync::Arc;

use portcullis_egress::{EgressError, HttpClients};
use portcullis_events::EventKind;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::ConnectionRow;
use url::Url;

use crate::audit::{AuditLog, Failure};
use crate::client::{ClientError, ConfiguredClients};
use crate::client_assertion::ClientAssertionError;
use crate::connection::Connection;
use crate::connection_store::ConnectionStore;
use crate::token::REQUEST_TIMEOUT;
use crate::{BrokerDependencies, http_client};

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_LEN: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
enum RevokeError {
    #[error("the revocation endpoint is not a valid URL")]
    InvalidEndpoint(#[from] url::ParseError),
    #[error(
        "the revocation endpoint is on a different host than the token endpoint, so no token was sent to it"
    )]
    OtherHost,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Authentication(#[from] ClientAssertionError),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("the revocation endpoint answered with status {0}")]
    Status(u16),
}

/// Revokes tokens, and records the result.
pub(crate) struct TokenRevoker {
    http: HttpClients,
    connections: Arc<ConnectionStore>,
    clients: Arc<ConfiguredClients>,
    audit: Arc<AuditLog>,
}

impl TokenRevoker {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        connections: &Arc<ConnectionStore>,
        clients: &Arc<ConfiguredClients>,
        audit: &Arc<AuditLog>,
    ) -> Self {
        Self {
            http: dependencies.http.clone(),
            connections: Arc::clone(connections),
            clients: Arc::clone(clients),
            audit: Arc::clone(audit),
        }
    }

    /// Revokes a connection that is already deleted from the store, and records the event.
    pub(crate) async fn revoke_removed(&self, who: &PrincipalId, origin: &Origin, row: ConnectionRow) {
        let failure = self.revoke_row(origin, row).await;
        self.audit.record(EventKind::Disconnected, who, None, origin, failure).await;
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
        let (revoker, who, origin) = (Arc::clone(self), who.clone(), Arc::clone(origin));
        tokio::spawn(async move {
            if let Some(failure) = revoker.revoke_row(&origin, old).await {
                revoker.audit.record(EventKind::UpstreamRequest, &who, None, &origin, Some(failure)).await;
            }
        });
    }

    /// Returns the failure, if any. A row that cannot be opened cannot be revoked.
    async fn revoke_row(&self, origin: &Origin, row: ConnectionRow) -> Option<Failure> {
        let connection = self.connections.open(row)?;
        let revoked = self.revoke(origin, &connection).await;
        revoked.err().map(|error| Failure::upstream("not_revoked_at_origin", error))
    }

    /// RFC 7009, at the endpoint that was known when the connection was made. Unlike the token endpoint, the
    /// revocation endpoint is not sealed with the tokens, so they are only sent to it on the same server. The
    /// refresh token comes first: a server that follows the RFC then also revokes the access tokens of the
    /// grant.
    async fn revoke(&self, origin: &Origin, connection: &Connection) -> Result<(), RevokeError> {
        let Some(endpoint) = &connection.row.revocation_endpoint else { return Ok(()) };
        let endpoint: Url = endpoint.parse()?;
        let client = self.clients.of_connection(origin, connection)?;
        if endpoint.origin() != connection.token_endpoint.origin() {
            return Err(RevokeError::OtherHost);
        }
        let http = http_client(&self.http, origin)?;
        let tokens = &connection.tokens;
        let refresh = tokens.refresh.as_ref().map(|token| (token.as_str(), "refresh_token"));
        for (token, hint) in refresh.into_iter().chain([(tokens.access.as_str(), "access_token")]) {
            let request = http.post(endpoint.clone()).timeout(REQUEST_TIMEOUT);
            let authentication = client.authentication()?;
            let request = authentication.form(request, &[("token", token), ("token_type_hint", hint)]);
            let response = http.send(request, MAX_RESPONSE_LEN).await?;
            if !response.status.is_success() {
                return Err(RevokeError::Status(response.status.as_u16()));
            }
        }
        Ok(())
    }
}
