//! Tokens of the gateway itself (RFC 6749 section 4.4), shared by all users. They are kept only in memory:
//! each replica has its own, and requests a new one after a restart.

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::Clock;
use portcullis_config::OriginAuth;
use portcullis_egress::HttpClients;
use portcullis_events::EventKind;
use portcullis_policy::{Origin, PrincipalId};
use secrecy::ExposeSecret as _;

use crate::audit::{AuditLog, Failure};
use crate::client::ConfiguredClients;
use crate::connection::refresh_after;
use crate::credential::{UnsendableToken, bearer_header};
use crate::credential_cache::CredentialCache;
use crate::token::{self, TokenEndpointError, TokenRequestError, TokenResponse};
use crate::token_target::TokenTarget;
use crate::{BrokerDependencies, ConnectError, Credential, CredentialError, http_client};

/// Lifetime of a token whose response states none.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// No token was issued.
#[derive(Debug, thiserror::Error)]
enum ClientCredentialsError {
    #[error(transparent)]
    Prepare(ConnectError),
    #[error(transparent)]
    Unavailable(TokenEndpointError),
    #[error(
        "{issuer} rejected the gateway's client: {source}; an administrator has to check the client registration"
    )]
    ClientRejected { issuer: String, source: TokenRequestError },
}

impl ClientCredentialsError {
    fn failure(&self) -> Failure {
        match self {
            Self::Prepare(error) => error.into(),
            Self::Unavailable(error) => Failure::upstream("unreachable", error),
            Self::ClientRejected { .. } => Failure::upstream("client_refused", self),
        }
    }
}

/// Requests tokens of the gateway itself.
pub(crate) struct ClientCredentials {
    http: HttpClients,
    clock: Clock,
    cache: Arc<CredentialCache>,
    clients: Arc<ConfiguredClients>,
    audit: Arc<AuditLog>,
}

impl ClientCredentials {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        cache: &Arc<CredentialCache>,
        clients: &Arc<ConfiguredClients>,
        audit: &Arc<AuditLog>,
    ) -> Self {
        Self {
            http: dependencies.http.clone(),
            clock: dependencies.clock.clone(),
            cache: Arc::clone(cache),
            clients: Arc::clone(clients),
            audit: Arc::clone(audit),
        }
    }

    /// Requests another token. The caller holds the lock of `who` and `origin`.
    pub(crate) async fn token(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Credential, CredentialError> {
        let requested = self.request(origin).await;
        let failure = requested.as_ref().err().map(ClientCredentialsError::failure);
        self.audit.record(EventKind::UpstreamRefresh, None, None, origin, failure).await;
        let response = requested.map_err(CredentialError::unavailable)?;
        let header = bearer_header(response.access.expose_secret())
            .ok_or_else(|| CredentialError::unavailable(UnsendableToken))?;
        let now = self.clock.now();
        let lifetime = response.lifetime.map(Duration::from_secs);
        let revisit_at = now.after(lifetime.map_or(DEFAULT_LIFETIME, refresh_after));
        let expires_at = lifetime.map(|lifetime| now.after(lifetime));
        self.cache.insert(who, origin, &header, revisit_at, expires_at);
        Ok(Credential::bearer(origin, header))
    }

    async fn request(&self, origin: &Origin) -> Result<TokenResponse, ClientCredentialsError> {
        use ClientCredentialsError as Error;
        let OriginAuth::ClientCredentials { server, scopes, .. } = &origin.auth else {
            return Err(Error::Prepare(ConnectError::NotNeeded));
        };
        let http = http_client(&self.http, origin).map_err(|error| Error::Prepare(error.into()))?;
        let target = TokenTarget::find(&http, origin, server, scopes).await.map_err(Error::Prepare)?;
        let client = self.clients.require(origin, &target).map_err(|error| Error::Prepare(error.into()))?;
        let mut form = vec![("grant_type", "client_credentials"), ("resource", target.resource.as_str())];
        form.extend(target.scope_parameter());
        let response = token::request_token(&http, &target.token_endpoint, &client, &form).await;
        response.map_err(|error| match error {
            TokenRequestError::Unavailable(error) => Error::Unavailable(error),
            rejected @ TokenRequestError::Refused { .. } => {
                Error::ClientRejected { issuer: target.issuer.clone(), source: rejected }
            }
        })
    }
}
