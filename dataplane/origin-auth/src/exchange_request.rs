//! The requests of a token exchange: to the identity provider and to the origin's authorization server.

use std::sync::Arc;

use portcullis_config::{AuthorizationServer, CredentialDestination, OriginAuth, SubjectToken};
use portcullis_egress::{HttpClient, HttpClients};
use portcullis_policy::{NameSet, Origin, PrincipalId};
use secrecy::{ExposeSecret as _, SecretString};

use crate::audit::Failure;
use crate::client::{ClientAuth, ConfiguredClients, OriginClient, RegistrationMethod, auth_method_name};
use crate::discovery::{RequiredEndpoints, fetch_server_metadata};
use crate::identity_token::{IdentityProviderClient, IdentityToken, IdentityTokenError, IdentityTokenSource};
use crate::token::{self, TokenEndpointError, TokenRequestError, TokenResponse};
use crate::token_target::TokenTarget;
use crate::{BrokerDependencies, ConnectError, ConnectionStatus, CredentialError, http_client};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// Reason why the exchange gave no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error(transparent)]
    Identity(#[from] IdentityTokenError),
    /// The authorization server or the identity provider was not found.
    #[error(transparent)]
    Prepare(ConnectError),
    /// The configuration prevents the exchange.
    #[error(transparent)]
    Configuration(ConnectError),
    #[error(
        "identity tokens must not be sent to {host}; the gateway's owner can allow it in spec.tenancy, identityTokenHosts"
    )]
    HostNotAllowed { host: String },
    #[error(transparent)]
    Unavailable(TokenEndpointError),
    #[error("{server} rejected the {request}: {source}")]
    Rejected { server: String, request: &'static str, source: TokenRequestError },
}

impl ExchangeError {
    fn prepare(error: impl Into<ConnectError>) -> Self {
        Self::Prepare(error.into())
    }

    /// An error of the token endpoint of `server`.
    fn from_token_request(request: &'static str, server: &str, error: TokenRequestError) -> Self {
        match error {
            TokenRequestError::Unavailable(error) => Self::Unavailable(error),
            source @ TokenRequestError::Refused { .. } => {
                Self::Rejected { server: server.to_owned(), request, source }
            }
        }
    }

    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Identity(IdentityTokenError::NoSession) => Failure::denied("no_identity_session", self),
            Self::Identity(IdentityTokenError::Refused(_)) => {
                Failure::denied("identity_provider_refused", self)
            }
            Self::Identity(IdentityTokenError::Unavailable(_)) => {
                Failure::upstream("identity_provider_unreachable", self)
            }
            Self::Prepare(error) | Self::Configuration(error) => error.into(),
            Self::HostNotAllowed { .. } => Failure::upstream("host_not_allowed", self),
            Self::Unavailable(_) => Failure::upstream("unreachable", self),
            Self::Rejected { .. } => Failure::denied("exchange_refused", self),
        }
    }
}

impl From<ExchangeError> for CredentialError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Identity(IdentityTokenError::NoSession | IdentityTokenError::Refused(_)) => {
                Self::NotConnected(ConnectionStatus::SignInNeeded)
            }
            ExchangeError::Configuration(_)
            | ExchangeError::HostNotAllowed { .. }
            | ExchangeError::Rejected { .. } => Self::Refused(Arc::new(error)),
            ExchangeError::Identity(IdentityTokenError::Unavailable(_))
            | ExchangeError::Prepare(_)
            | ExchangeError::Unavailable(_) => Self::unavailable(error),
        }
    }
}

/// The result of an exchange.
pub(crate) struct ExchangedToken {
    pub(crate) target: TokenTarget,
    pub(crate) client: OriginClient,
    pub(crate) response: TokenResponse,
}

/// Where to request a token, and as which client.
struct ExchangeContext {
    target: TokenTarget,
    client: OriginClient,
    http: HttpClient,
}

impl ExchangeContext {
    /// Requests the token of the origin.
    async fn request(
        &self,
        request: &'static str,
        form: &[(&'static str, &str)],
    ) -> Result<TokenResponse, ExchangeError> {
        token::request_token(&self.http, &self.target.token_endpoint, &self.client, form)
            .await
            .map_err(|error| ExchangeError::from_token_request(request, &self.target.issuer, error))
    }
}

/// Requests tokens of an origin for a person's identity tokens.
pub(crate) struct ExchangeRequester {
    http: HttpClients,
    identities: Option<Arc<dyn IdentityTokenSource>>,
    clients: Arc<ConfiguredClients>,
}

impl ExchangeRequester {
    pub(crate) fn new(dependencies: &BrokerDependencies, clients: &Arc<ConfiguredClients>) -> Self {
        Self {
            http: dependencies.http.clone(),
            identities: dependencies.identities.clone(),
            clients: Arc::clone(clients),
        }
    }

    pub(crate) async fn exchange(
        &self,
        who: &PrincipalId,
        origin: &Origin,
    ) -> Result<ExchangedToken, ExchangeError> {
        let (context, response) = match &origin.auth {
            OriginAuth::TokenExchange { server, audience, scopes, subject_token, subject_hosts, .. } => {
                let context = self.prepare(origin, server, scopes).await?;
                let host = CredentialDestination::of(&context.target.token_endpoint);
                let allowed = |hosts: &Vec<String>| {
                    let hosts = NameSet::new(hosts);
                    host.is_allowed(|name| hosts.contains(name))
                };
                if !subject_hosts.as_ref().is_none_or(allowed) {
                    return Err(ExchangeError::HostNotAllowed { host: host.to_string() });
                }
                let identity = self.identity_token(who, *subject_token).await?;
                let audience = audience.as_deref();
                let response = exchange_identity_token(&context, &identity, *subject_token, audience).await?;
                (context, response)
            }
            OriginAuth::IdJag { issuer, scopes, .. } => {
                let server = AuthorizationServer::Issuer(issuer.clone());
                let context = self.prepare(origin, &server, scopes).await?;
                let identity = self.identity_token(who, SubjectToken::IdToken).await?;
                let assertion = self.request_id_jag(&identity, &context.target).await?;
                let response = redeem_assertion(&context, &assertion).await?;
                (context, response)
            }
            _ => return Err(ExchangeError::Configuration(ConnectError::NotNeeded)),
        };
        Ok(ExchangedToken { target: context.target, client: context.client, response })
    }

    /// Finds the server before the person's token is requested: without a server the token is not needed.
    async fn prepare(
        &self,
        origin: &Origin,
        server: &AuthorizationServer,
        scopes: &[String],
    ) -> Result<ExchangeContext, ExchangeError> {
        let http = http_client(&self.http, origin).map_err(ExchangeError::prepare)?;
        let target =
            TokenTarget::find(&http, origin, server, scopes).await.map_err(ExchangeError::Prepare)?;
        let client = self
            .clients
            .require(origin, &target)
            .map_err(|error| ExchangeError::Configuration(error.into()))?;
        Ok(ExchangeContext { target, client, http })
    }

    /// Requests a fresh token of the person from their identity provider.
    async fn identity_token(
        &self,
        who: &PrincipalId,
        kind: SubjectToken,
    ) -> Result<IdentityToken, ExchangeError> {
        let identities = self.identities.as_ref().ok_or(IdentityTokenError::NoSession)?;
        Ok(identities.token(who, kind).await?)
    }

    /// Requests an identity assertion authorization grant (MCP enterprise-managed authorization, section 4).
    /// It is valid at one authorization server, for one origin.
    async fn request_id_jag(
        &self,
        identity: &IdentityToken,
        target: &TokenTarget,
    ) -> Result<SecretString, ExchangeError> {
        let provider = &identity.provider;
        let http = self
            .http
            .http(&provider.private_networks, provider.ca_bundle_pem.as_deref())
            .map_err(ExchangeError::prepare)?;
        let metadata = fetch_server_metadata(&http, &provider.issuer, RequiredEndpoints::Token)
            .await
            .map_err(ExchangeError::Prepare)?;
        let client =
            identity_provider_client(provider, metadata.token_endpoint_auth_methods_supported.as_deref());
        let mut form = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("audience", target.issuer.as_str()),
            ("resource", target.resource.as_str()),
            ("subject_token", identity.token.expose_secret()),
            ("subject_token_type", ID_TOKEN),
        ];
        form.extend(target.scope_parameter());
        token::request_token_of_type(&http, &metadata.token_endpoint, &client, &form, ID_JAG).await.map_err(
            |error| {
                let request = "request for an identity assertion";
                ExchangeError::from_token_request(request, &provider.issuer, error)
            },
        )
    }
}

/// RFC 8693.
async fn exchange_identity_token(
    context: &ExchangeContext,
    identity: &IdentityToken,
    subject_token: SubjectToken,
    audience: Option<&str>,
) -> Result<TokenResponse, ExchangeError> {
    let mut form = vec![
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token", identity.token.expose_secret()),
        ("subject_token_type", token_type_urn(subject_token)),
        ("resource", context.target.resource.as_str()),
    ];
    form.extend(audience.map(|audience| ("audience", audience)));
    form.extend(context.target.scope_parameter());
    context.request("token exchange", &form).await
}

/// RFC 7523.
async fn redeem_assertion(
    context: &ExchangeContext,
    assertion: &SecretString,
) -> Result<TokenResponse, ExchangeError> {
    let mut form = vec![
        ("grant_type", JWT_BEARER),
        ("assertion", assertion.expose_secret()),
        ("resource", context.target.resource.as_str()),
    ];
    form.extend(context.target.scope_parameter());
    context.request("assertion", &form).await
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
