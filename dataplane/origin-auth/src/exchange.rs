//! Exchanges a person's identity token for a token of the origin, without consent at the origin.
//!
//! ```text
//! tokenExchange   identity token --RFC 8693--> authorization server -> access token
//! idJag           identity token --RFC 8693--> identity provider -> ID-JAG
//!                                --RFC 7523--> authorization server -> access token
//! ```
//!
//! The result is stored like a connection without a refresh token, so all replicas use the same token. When
//! it expires, the exchange is repeated.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use portcullis_config::{AuthorizationServer, OriginAuth, SubjectToken};
use portcullis_events::EventKind;
use portcullis_policy::{NameSet, Origin, PrincipalId};
use portcullis_store::ConnectionRow;
use secrecy::{ExposeSecret as _, SecretString};

use crate::audit::Failure;
use crate::client::{ClientAuth, OriginClient, RegistrationMethod, auth_method_name};
use crate::connection::{Connection, Tokens, exchange_fingerprint};
use crate::discovery::{RequiredEndpoints, fetch_server_metadata};
use crate::identity_token::{IdentityProviderClient, IdentityToken, IdentityTokenError};
use crate::token::{self, TokenRequestError, TokenResponse};
use crate::token_target::TokenTarget;
use crate::{ConnectError, ConnectionStatus, Credential, CredentialError, Inner};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// Lifetime of a token whose response states none.
const DEFAULT_LIFETIME_SECONDS: u64 = 3600;

/// Lease of a replica on an exchange that replaces an earlier token. Longer than the requests can take.
const LEASE_DURATION: Duration = Duration::from_secs(30);

/// When to try again if the exchange fails or another replica has the lease, while the old token is still
/// valid.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// How often, and how many times, a replica checks whether another has finished.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_LEASE_POLLS: u32 = 100;

/// Reason why the exchange gave no token.
enum ExchangeError {
    /// The person has to sign in again.
    SignInRequired(Failure),
    /// The request was rejected, and a retry would be too.
    Refused(Failure),
    /// It may succeed later.
    Temporary(Failure),
}

/// Where to request a token, and as which client.
struct ExchangeContext {
    source: TokenTarget,
    client: OriginClient,
    http: portcullis_egress::HttpClient,
}

impl Inner {
    /// Returns the stored token while it is valid, otherwise another one. The caller holds the lock of `who`
    /// and `origin`.
    pub(crate) async fn exchanged_credential(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        refused: Option<&HeaderValue>,
    ) -> Result<Credential, CredentialError> {
        for _ in 0..MAX_LEASE_POLLS {
            let before = match self.stored_connection(who, origin).await {
                Ok(connection) => connection,
                Err(CredentialError::NotConnected(_)) => return self.exchange_now(who, origin).await,
                Err(error) => return Err(error),
            };
            let now = self.parts.clock.now();
            let is_good = refused != Some(&*before.header)
                && before.expires_at().is_none_or(|expires_at| now < expires_at);
            if is_good && before.refresh_at().is_none_or(|refresh_at| now < refresh_at) {
                return Ok(self.cache_connection(who, origin, &before, before.refresh_at()));
            }
            let soon = Some(now.after(RETRY_DELAY));
            let until = now.after(LEASE_DURATION).0;
            if self.parts.store.lease_connection(&before.row, now.0, until).await? {
                let found = self.exchange_now(who, origin).await;
                if found.is_err() {
                    self.parts.store.release_connection(&before.row, until).await.ok();
                }
                return match found {
                    Err(CredentialError::Unavailable(_)) if is_good => {
                        Ok(self.cache_connection(who, origin, &before, soon))
                    }
                    found => found,
                };
            }
            if is_good {
                return Ok(self.cache_connection(who, origin, &before, soon));
            }
            tokio::time::sleep(LEASE_POLL_INTERVAL).await;
        }
        Err(CredentialError::Unavailable(
            "timed out waiting for another replica to exchange the token".to_owned(),
        ))
    }

    async fn exchange_now(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
    ) -> Result<Credential, CredentialError> {
        let (failure, error) = match self.exchange(who, origin).await {
            Ok((source, client, answer)) => {
                let credential = self.store_exchanged(who, origin, &source, &client, answer).await?;
                self.record(EventKind::UpstreamRefresh, who, None, origin, None).await;
                return Ok(credential);
            }
            Err(ExchangeError::SignInRequired(failure)) => {
                (failure, CredentialError::NotConnected(ConnectionStatus::SignInNeeded))
            }
            Err(ExchangeError::Refused(failure)) => {
                let error = CredentialError::Refused(failure.message.clone());
                (failure, error)
            }
            Err(ExchangeError::Temporary(failure)) => {
                let error = CredentialError::Unavailable(failure.message.clone());
                (failure, error)
            }
        };
        if !matches!(error, CredentialError::Unavailable(_)) {
            // A rejection also ends the token that was issued before.
            self.parts.store.remove_connection(who.as_str(), &origin.uid, self.parts.clock.now().0).await?;
        }
        self.record(EventKind::UpstreamRefresh, who, None, origin, Some(failure)).await;
        Err(error)
    }

    async fn exchange(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<(TokenTarget, OriginClient, TokenResponse), ExchangeError> {
        match &origin.auth {
            OriginAuth::TokenExchange { server, audience, scopes, subject_token, subject_hosts, .. } => {
                let ExchangeContext { source, client, http } = self.prepare(origin, server, scopes).await?;
                let host = source.token_endpoint.host_str().unwrap_or_default();
                if subject_hosts.as_ref().is_some_and(|hosts| !NameSet::new(hosts).contains(host)) {
                    return Err(ExchangeError::Refused(Failure::upstream(
                        "host_not_allowed",
                        format!(
                            "identity tokens must not be sent to {host}; the gateway's owner can allow it in spec.tenancy, identityTokenHosts"
                        ),
                    )));
                }
                let identity = self.identity_token(who, *subject_token).await?;
                let mut form = vec![
                    ("grant_type", TOKEN_EXCHANGE),
                    ("requested_token_type", ACCESS_TOKEN),
                    ("subject_token", identity.token.expose_secret()),
                    ("subject_token_type", token_type_urn(*subject_token)),
                    ("resource", &source.resource),
                ];
                form.extend(audience.as_deref().map(|audience| ("audience", audience)));
                form.extend(source.scope_parameter());
                let answer = token::request_token(&http, &source.token_endpoint, &client, &form)
                    .await
                    .map_err(|error| exchange_error("token exchange", &source.issuer, error))?;
                Ok((source, client, answer))
            }
            OriginAuth::IdJag { issuer, scopes, .. } => {
                let server = AuthorizationServer::Issuer(issuer.clone());
                let ExchangeContext { source, client, http } = self.prepare(origin, &server, scopes).await?;
                let identity = self.identity_token(who, SubjectToken::IdToken).await?;
                let assertion = self.request_id_jag(&identity, &source).await?;
                let mut form = vec![
                    ("grant_type", JWT_BEARER),
                    ("assertion", assertion.expose_secret()),
                    ("resource", source.resource.as_str()),
                ];
                form.extend(source.scope_parameter());
                let answer = token::request_token(&http, &source.token_endpoint, &client, &form)
                    .await
                    .map_err(|error| exchange_error("assertion", &source.issuer, error))?;
                Ok((source, client, answer))
            }
            _ => Err(ExchangeError::Refused(Failure::from(&ConnectError::NotNeeded))),
        }
    }

    /// Finds the server before the person's token is requested: without a server the token is not needed.
    async fn prepare(
        &self,
        origin: &Origin,
        server: &AuthorizationServer,
        scopes: &[String],
    ) -> Result<ExchangeContext, ExchangeError> {
        let temporary = |error: ConnectError| ExchangeError::Temporary(Failure::from(&error));
        let http = self.http(origin).map_err(|error| temporary(error.into()))?;
        let source = TokenTarget::find(&http, origin, server, scopes).await.map_err(temporary)?;
        let client = self
            .configured_client(origin, &source.issuer, &source.token_endpoint)
            .and_then(|client| client.ok_or_else(|| "the origin's configuration names no client".to_owned()))
            .map_err(|problem| ExchangeError::Refused(Failure::from(&ConnectError::Registration(problem))))?;
        Ok(ExchangeContext { source, client, http })
    }

    /// Requests a fresh token of the person from their identity provider.
    async fn identity_token(
        &self,
        who: &PrincipalId,
        kind: SubjectToken,
    ) -> Result<IdentityToken, ExchangeError> {
        let no_session = || IdentityTokenError::NoSession;
        let found = match &self.parts.identities {
            Some(identities) => identities.token(who, kind).await,
            None => Err(no_session()),
        };
        found.map_err(|error| match error {
            IdentityTokenError::NoSession => {
                ExchangeError::SignInRequired(Failure::denied("no_identity_session", error.to_string()))
            }
            IdentityTokenError::Refused(_) => {
                ExchangeError::SignInRequired(Failure::denied("identity_provider_refused", error.to_string()))
            }
            IdentityTokenError::Unavailable(_) => ExchangeError::Temporary(Failure::upstream(
                "identity_provider_unreachable",
                error.to_string(),
            )),
        })
    }

    /// Requests an identity assertion authorization grant (MCP enterprise-managed authorization, section 4).
    /// It is valid at one authorization server, for one origin.
    async fn request_id_jag(
        &self,
        identity: &IdentityToken,
        source: &TokenTarget,
    ) -> Result<SecretString, ExchangeError> {
        let provider = &identity.provider;
        let temporary = |error: ConnectError| ExchangeError::Temporary(Failure::from(&error));
        let http = self
            .parts
            .http
            .http(&provider.private_networks, provider.ca_bundle_pem.as_deref())
            .map_err(|error| temporary(error.into()))?;
        let metadata = fetch_server_metadata(&http, &provider.issuer, RequiredEndpoints::Token)
            .await
            .map_err(temporary)?;
        let client =
            identity_provider_client(provider, metadata.token_endpoint_auth_methods_supported.as_deref());
        let mut form = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("audience", source.issuer.as_str()),
            ("resource", source.resource.as_str()),
            ("subject_token", identity.token.expose_secret()),
            ("subject_token_type", ID_TOKEN),
        ];
        form.extend(source.scope_parameter());
        token::request_token_of_type(&http, &metadata.token_endpoint, &client, &form, ID_JAG)
            .await
            .map_err(|error| exchange_error("request for an identity assertion", &provider.issuer, error))
    }

    async fn store_exchanged(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        source: &TokenTarget,
        client: &OriginClient,
        mut answer: TokenResponse,
    ) -> Result<Credential, CredentialError> {
        let now = self.parts.clock.now();
        // The exchange can always be repeated, so the refresh token is not kept.
        answer.refresh = None;
        let mut row = ConnectionRow {
            principal_id: who.as_str().to_owned(),
            origin_uid: origin.uid.to_string(),
            origin_url: origin.url.to_string(),
            resource: source.resource.clone(),
            issuer: source.issuer.clone(),
            token_endpoint: source.token_endpoint.to_string(),
            revocation_endpoint: None,
            client_id: client.id.clone(),
            registration: exchange_fingerprint(&origin.auth),
            auth_method: auth_method_name(client.proof.method()).to_owned(),
            scope: answer.scope.clone().unwrap_or_else(|| source.scope.clone()),
            sealed: String::new(),
            issued_at: now.0,
            expires_at: Some(now.after_seconds(answer.lifetime.unwrap_or(DEFAULT_LIFETIME_SECONDS)).0),
            dead: 0,
            revision: self.parts.random.token()?,
            leased_until: 0,
            connected_at: now.0,
            last_used_at: None,
        };
        row.sealed = Tokens::from_response(&answer, None, None)
            .seal(&self.parts.keys.sealing, &self.parts.random, &row)
            .map_err(|error| CredentialError::Unavailable(error.to_string()))?;
        self.parts.store.put_connection(&row).await?;
        self.publish_change(who, origin, true);
        let connection = Connection::open(row, &self.parts.keys.sealing).ok_or_else(|| {
            CredentialError::Unavailable("the issued token cannot be sent in a header".to_owned())
        })?;
        Ok(self.cache_connection(who, origin, &connection, connection.refresh_at()))
    }
}

fn token_type_urn(token: SubjectToken) -> &'static str {
    match token {
        SubjectToken::IdToken => ID_TOKEN,
        SubjectToken::AccessToken => ACCESS_TOKEN,
    }
}

/// The gateway as a client of the identity provider. A provider whose metadata states no authentication
/// method accepts Basic (RFC 8414 section 2).
fn identity_provider_client(provider: &IdentityProviderClient, methods: Option<&[String]>) -> OriginClient {
    use portcullis_config::TokenEndpointAuthMethod as Method;
    let offers =
        |method| methods.is_none_or(|methods| methods.iter().any(|name| name == auth_method_name(method)));
    let method = match &provider.client_secret {
        None => Method::None,
        Some(_) if offers(Method::ClientSecretBasic) || !offers(Method::ClientSecretPost) => {
            Method::ClientSecretBasic
        }
        Some(_) => Method::ClientSecretPost,
    };
    OriginClient {
        id: provider.client_id.clone(),
        proof: ClientAuth::new(method, provider.client_secret.clone()),
        registration: RegistrationMethod::Configured,
    }
}

/// Maps an error of the token endpoint `who` to the failure of the exchange.
fn exchange_error(what: &str, who: &str, error: TokenRequestError) -> ExchangeError {
    match error {
        TokenRequestError::Unavailable(problem) => {
            ExchangeError::Temporary(Failure::upstream("unreachable", problem))
        }
        refused @ TokenRequestError::Refused { .. } => {
            let message = format!("{who} rejected the {what}: {refused}");
            ExchangeError::Refused(Failure::denied("exchange_refused", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_what_an_identity_provider_takes_then_the_gateway_is_its_client_in_that_way() {
        let (none, basic, post) = ("none", "client_secret_basic", "client_secret_post");
        let secret = Some("a secret");
        for (secret, methods, method) in [
            (secret, None, basic),
            (secret, Some(vec![]), basic),
            (secret, Some(vec!["private_key_jwt"]), basic),
            (secret, Some(vec![post]), post),
            (secret, Some(vec![post, basic]), basic),
            (secret, Some(vec![basic]), basic),
            (None, None, none),
            (None, Some(vec![post]), none),
        ] {
            let provider = IdentityProviderClient {
                issuer: "https://idp.example".to_owned(),
                client_id: "portcullis".to_owned(),
                client_secret: secret.map(Into::into),
                private_networks: Vec::new(),
                ca_bundle_pem: None,
            };
            let methods = methods.map(|methods| methods.into_iter().map(str::to_owned).collect::<Vec<_>>());
            let client = identity_provider_client(&provider, methods.as_deref());
            assert_eq!(auth_method_name(client.proof.method()), method, "{methods:?}");
        }
    }
}
