//! Tokens of the gateway itself (RFC 6749 section 4.4), shared by all users. They are kept only in memory:
//! each replica has its own, and requests a new one after a restart.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::OriginAuth;
use portcullis_events::EventKind;
use portcullis_policy::{Origin, PrincipalId};
use secrecy::ExposeSecret as _;

use crate::audit::Failure;
use crate::connection::refresh_after;
use crate::credential::bearer_header;
use crate::token::{self, TokenRequestError, TokenResponse};
use crate::token_target::TokenTarget;
use crate::{ConnectError, Credential, CredentialError, Inner};

/// Lifetime of a token whose response states none.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

impl Inner {
    /// Requests another token. The caller holds the lock of `who` and `origin`.
    pub(crate) async fn client_credentials_token(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Credential, CredentialError> {
        let answer = match self.request_client_credentials_token(origin).await {
            Ok(answer) => answer,
            Err(failure) => {
                let problem = failure.message.clone();
                self.record(EventKind::UpstreamRefresh, None, None, origin, Some(failure)).await;
                return Err(CredentialError::Unavailable(problem));
            }
        };
        self.record(EventKind::UpstreamRefresh, None, None, origin, None).await;
        let header = bearer_header(answer.access.expose_secret()).ok_or_else(|| {
            CredentialError::Unavailable("the issued token cannot be sent in a header".to_owned())
        })?;
        let now = self.parts.clock.now();
        let lifetime = answer.lifetime.map(Duration::from_secs);
        let revisit_at = now.after(lifetime.map_or(DEFAULT_LIFETIME, refresh_after));
        self.cache_credential(who, origin, &header, revisit_at, lifetime.map(|lifetime| now.after(lifetime)));
        Ok(Credential::bearer(origin, header))
    }

    async fn request_client_credentials_token(&self, origin: &Origin) -> Result<TokenResponse, Failure> {
        let OriginAuth::ClientCredentials { server, scopes, .. } = &origin.auth else {
            return Err(Failure::from(&ConnectError::NotNeeded));
        };
        let failed = |error: ConnectError| Failure::from(&error);
        let http = self.http(origin).map_err(|error| failed(error.into()))?;
        let source = TokenTarget::find(&http, origin, server, scopes).await.map_err(failed)?;
        let client = self
            .configured_client(origin, &source.issuer, &source.token_endpoint)
            .and_then(|client| client.ok_or_else(|| "the origin's configuration names no client".to_owned()))
            .map_err(|problem| failed(ConnectError::Registration(problem)))?;
        let mut form = vec![("grant_type", "client_credentials"), ("resource", source.resource.as_str())];
        form.extend(source.scope_parameter());
        token::request_token(&http, &source.token_endpoint, &client, &form).await.map_err(|error| match error
        {
            TokenRequestError::Unavailable(problem) => Failure::upstream("unreachable", problem),
            refused @ TokenRequestError::Refused { .. } => Failure::upstream(
                "client_refused",
                format!(
                    "{} rejected the gateway's client: {refused}; an administrator has to check the client registration",
                    source.issuer
                ),
            ),
        })
    }
}
