use portcullis_contract::TokenEndpointAuthMethod as AuthMethod;
use portcullis_policy::{Origin, OriginCredential};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

/// How the gateway became a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// By hand; the configuration says id and secret.
    Configured,
    /// By a client ID metadata document.
    Document,
    /// By RFC 7591.
    Dynamic,
}

impl Registration {
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

/// RFC 7591's name of a way to authenticate at the token endpoint.
pub(crate) const fn method_name(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::None => "none",
        AuthMethod::ClientSecretBasic => "client_secret_basic",
        AuthMethod::ClientSecretPost => "client_secret_post",
    }
}

/// The ways that the gateway knows, the one it likes best first.
pub(crate) const METHODS: [AuthMethod; 3] =
    [AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];

/// The way with a name.
pub(crate) fn method_named(name: &str) -> Option<AuthMethod> {
    METHODS.into_iter().find(|method| method_name(*method) == name)
}

/// The gateway as a client of one authorization server.
pub(crate) struct OriginClient {
    pub(crate) id: String,
    pub(crate) secret: Option<SecretString>,
    pub(crate) method: AuthMethod,
    pub(crate) registration: Registration,
}

impl OriginClient {
    /// The client that an administrator registered by hand, if they did. Its secret goes only to a host that its owner allowed.
    pub(crate) fn configured(origin: &Origin, token_endpoint: &Url) -> Result<Option<Self>, String> {
        let Some(registered) = origin.auth.client() else { return Ok(None) };
        let secret = match &origin.credential {
            OriginCredential::ClientSecret(secret, hosts) => {
                let host = token_endpoint.host_str().unwrap_or_default();
                if !hosts.contains(host) {
                    return Err(format!(
                        "the client secret may not be sent to {host}; the Secret's annotation portcullis.dev/allowed-hosts has to name that host"
                    ));
                }
                Some(secret.clone())
            }
            OriginCredential::None | OriginCredential::Header(..) | OriginCredential::Target(_) => None,
        };
        Ok(Some(Self {
            id: registered.id.clone(),
            secret,
            method: registered.token_endpoint_auth_method,
            registration: Registration::Configured,
        }))
    }

    /// Adds the client's authentication to a request to the token or revocation endpoint (RFC 6749 section 2.3.1).
    pub(crate) fn authenticate<'a>(
        &'a self,
        request: reqwest::RequestBuilder,
        form: &mut Vec<(&'static str, &'a str)>,
    ) -> reqwest::RequestBuilder {
        match (self.method, &self.secret) {
            (AuthMethod::ClientSecretBasic, Some(secret)) => {
                let encode =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                request.basic_auth(encode(&self.id), Some(encode(secret.expose_secret())))
            }
            (AuthMethod::ClientSecretPost, Some(secret)) => {
                form.push(("client_id", &self.id));
                form.push(("client_secret", secret.expose_secret()));
                request
            }
            (AuthMethod::None, _) | (_, None) => {
                form.push(("client_id", &self.id));
                request
            }
        }
    }
}
