//! The gateway as an OAuth client of an authorization server, and how it authenticates there.

use portcullis_clock::{Clock, Random};
use portcullis_config::{CredentialDestination, TokenEndpointAuthMethod as AuthMethod};
use portcullis_policy::{Origin, OriginCredential};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

use crate::BrokerDependencies;
use crate::client_assertion::{CLIENT_ASSERTION_TYPE, ClientAssertionError, ClientAssertionSigner};
use crate::connection::Connection;
use crate::token_target::TokenTarget;

/// How the gateway was registered as a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegistrationMethod {
    /// By hand: the configuration contains id and secret.
    Configured,
    /// By a client ID metadata document.
    Document,
    /// By dynamic registration (RFC 7591).
    Dynamic,
}

impl RegistrationMethod {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Document => "document",
            Self::Dynamic => "dynamic",
        }
    }

    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        [Self::Configured, Self::Document, Self::Dynamic].into_iter().find(|each| each.as_str() == text)
    }
}

/// RFC 7591's name of a token endpoint authentication method.
pub(crate) const fn auth_method_name(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::None => "none",
        AuthMethod::ClientSecretBasic => "client_secret_basic",
        AuthMethod::ClientSecretPost => "client_secret_post",
        AuthMethod::PrivateKeyJwt => "private_key_jwt",
    }
}

/// Methods for dynamic registration, in order of preference. `private_key_jwt` is only configured by hand.
pub(crate) const REGISTRATION_AUTH_METHODS: [AuthMethod; 3] =
    [AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];

/// The method with an RFC 7591 name, if dynamic registration supports it.
pub(crate) fn auth_method_by_name(name: &str) -> Option<AuthMethod> {
    REGISTRATION_AUTH_METHODS.into_iter().find(|method| auth_method_name(*method) == name)
}

/// The gateway as a client of one authorization server.
pub(crate) struct OriginClient {
    pub(crate) id: String,
    pub(crate) proof: ClientAuth,
    pub(crate) registration: RegistrationMethod,
}

/// Credentials of the client at the token endpoint.
pub(crate) enum ClientAuth {
    /// A public client, without credentials.
    Public,
    /// The secret, in the `Authorization` header.
    Basic(SecretString),
    /// The secret, in the form.
    Post(SecretString),
    /// An assertion signed with a private key.
    Assertion(Box<ClientAssertionSigner>),
}

impl ClientAuth {
    /// Credentials for a method with an optional secret. Without a secret the client is public.
    pub(crate) fn new(method: AuthMethod, secret: Option<SecretString>) -> Self {
        match (method, secret) {
            (AuthMethod::ClientSecretBasic, Some(secret)) => Self::Basic(secret),
            (AuthMethod::ClientSecretPost, Some(secret)) => Self::Post(secret),
            (AuthMethod::None | AuthMethod::PrivateKeyJwt, _) | (_, None) => Self::Public,
        }
    }

    pub(crate) fn method(&self) -> AuthMethod {
        match self {
            Self::Public => AuthMethod::None,
            Self::Basic(_) => AuthMethod::ClientSecretBasic,
            Self::Post(_) => AuthMethod::ClientSecretPost,
            Self::Assertion(_) => AuthMethod::PrivateKeyJwt,
        }
    }

    /// The secret, if it is sent as it is.
    pub(crate) fn secret(&self) -> Option<&SecretString> {
        match self {
            Self::Basic(secret) | Self::Post(secret) => Some(secret),
            Self::Public | Self::Assertion(_) => None,
        }
    }
}

/// The gateway is not the client that a request needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(
        "the client secret must not be sent to {host}; add the host to the Secret's annotation portcullis.dev/allowed-hosts"
    )]
    HostNotAllowed { host: String },
    #[error(transparent)]
    Assertion(#[from] ClientAssertionError),
    #[error("the origin's configuration names no client")]
    NotConfigured,
    #[error("the client that the tokens were issued to is no longer configured")]
    NoLongerConfigured,
    #[error("the stored connection was written by a newer version")]
    NewerVersion,
}

/// Clients that administrators registered by hand.
pub(crate) struct ConfiguredClients {
    clock: Clock,
    random: Random,
}

impl ConfiguredClients {
    pub(crate) fn new(dependencies: &BrokerDependencies) -> Self {
        Self { clock: dependencies.clock.clone(), random: dependencies.random.clone() }
    }

    /// The client that an administrator registered by hand, if any. Its secret is only sent to hosts that the
    /// owner of the Secret allows.
    pub(crate) fn find(
        &self,
        origin: &Origin,
        issuer: &str,
        token_endpoint: &Url,
    ) -> Result<Option<OriginClient>, ClientError> {
        let Some(registered) = origin.auth.client() else { return Ok(None) };
        let secret = match &origin.credential {
            OriginCredential::ClientSecret(secret, hosts) => {
                let host = CredentialDestination::of(token_endpoint);
                if !host.is_allowed(|name| hosts.contains(name)) {
                    return Err(ClientError::HostNotAllowed { host: host.to_string() });
                }
                Some(secret.clone())
            }
            OriginCredential::None | OriginCredential::Header(..) | OriginCredential::RequestTarget(_) => {
                None
            }
        };
        let proof = match (registered.token_endpoint_auth_method, secret) {
            (AuthMethod::PrivateKeyJwt, Some(key)) => {
                let (clock, random) = (self.clock.clone(), self.random.clone());
                let key_id = registered.key_id.clone();
                let signer = ClientAssertionSigner::new(&key, key_id, issuer, clock, random)?;
                ClientAuth::Assertion(Box::new(signer))
            }
            (method, secret) => ClientAuth::new(method, secret),
        };
        Ok(Some(OriginClient {
            id: registered.id.clone(),
            proof,
            registration: RegistrationMethod::Configured,
        }))
    }

    /// Like [`find`](Self::find), for requests that need a configured client.
    pub(crate) fn require(&self, origin: &Origin, target: &TokenTarget) -> Result<OriginClient, ClientError> {
        self.find(origin, &target.issuer, &target.token_endpoint)?.ok_or(ClientError::NotConfigured)
    }

    /// The client that a connection's tokens were issued to.
    pub(crate) fn of_connection(
        &self,
        origin: &Origin,
        connection: &Connection,
    ) -> Result<OriginClient, ClientError> {
        let row = &connection.row;
        let registration = RegistrationMethod::from_stored(&row.registration);
        if registration == Some(RegistrationMethod::Configured) {
            return self
                .find(origin, &row.issuer, &connection.token_endpoint)?
                .filter(|client| client.id == row.client_id)
                .ok_or(ClientError::NoLongerConfigured);
        }
        let (Some(registration), Some(method)) = (registration, auth_method_by_name(&row.auth_method)) else {
            return Err(ClientError::NewerVersion);
        };
        let secret = connection.tokens.client_secret.as_ref();
        let proof = ClientAuth::new(method, secret.map(|secret| SecretString::from(secret.to_string())));
        Ok(OriginClient { id: row.client_id.clone(), proof, registration })
    }
}

impl OriginClient {
    /// Authentication for a single request.
    pub(crate) fn authentication(&self) -> Result<RequestAuth<'_>, ClientAssertionError> {
        let assertion = match &self.proof {
            ClientAuth::Assertion(assertions) => Some(assertions.sign(&self.id)?),
            ClientAuth::Public | ClientAuth::Basic(_) | ClientAuth::Post(_) => None,
        };
        Ok(RequestAuth { client: self, assertion })
    }
}

/// Client authentication at the token or revocation endpoint (RFC 6749 section 2.3.1, RFC 7523 section 2.2).
pub(crate) struct RequestAuth<'a> {
    client: &'a OriginClient,
    assertion: Option<SecretString>,
}

impl RequestAuth<'_> {
    /// Adds the parameters and the client authentication to a request.
    pub(crate) fn form(
        &self,
        request: RequestBuilder,
        parameters: &[(&'static str, &str)],
    ) -> RequestBuilder {
        let id = self.client.id.as_str();
        if let ClientAuth::Basic(secret) = &self.client.proof {
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            return request.basic_auth(encode(id), Some(encode(secret.expose_secret()))).form(parameters);
        }
        let mut form = parameters.to_vec();
        form.push(("client_id", id));
        if let ClientAuth::Post(secret) = &self.client.proof {
            form.push(("client_secret", secret.expose_secret()));
        }
        if let Some(assertion) = &self.assertion {
            form.push(("client_assertion_type", CLIENT_ASSERTION_TYPE));
            form.push(("client_assertion", assertion.expose_secret()));
        }
        request.form(&form)
    }

    /// The secret that was sent, to redact it from error messages.
    pub(crate) fn secret(&self) -> Option<&SecretString> {
        self.assertion.as_ref().or(self.client.proof.secret())
    }
}
