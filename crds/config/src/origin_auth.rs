use serde::{Deserialize, Serialize};

use url::Url;

use crate::SecretKey;

/// How the gateway authenticates to an origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum OriginAuth {
    /// Nothing is sent.
    None,
    /// One header, the same for every user.
    Header {
        /// Header name.
        name: String,
        /// Put before the value, `Bearer ` for instance.
        prefix: String,
        /// The value.
        value: SecretKey,
    },
    /// One parameter of the URL's query, the same for every user.
    QueryParameter {
        /// The parameter's name.
        name: String,
        /// Its value, as it is before it is encoded.
        value: SecretKey,
    },
    /// Each user connects an account of their own (OAuth 2.1).
    UserOAuth {
        /// Asked for at consent when the origin's challenge names none.
        scopes: Vec<String>,
        /// How the gateway becomes a client there.
        registration: ClientRegistration,
    },
    /// One account for everybody, which an administrator connects (OAuth 2.1).
    SharedOAuth {
        /// As for each user's own.
        scopes: Vec<String>,
        /// How the gateway becomes a client there.
        registration: ClientRegistration,
    },
    /// The gateway gets a token in its own name, the same for every user (RFC 6749 section 4.4).
    ClientCredentials {
        /// Who gives the tokens.
        server: AuthorizationServer,
        /// The gateway, as that server knows it.
        client: RegisteredClient,
        /// Asked for; the challenge's or the metadata's where there are none.
        scopes: Vec<String>,
    },
    /// The token of a person's identity provider is exchanged for one of this origin's (RFC 8693).
    TokenExchange {
        /// Who exchanges; never [`OfOrigin`](AuthorizationServer::OfOrigin).
        server: AuthorizationServer,
        /// The gateway, as that server knows it.
        client: RegisteredClient,
        /// `audience`, where the server wants one besides the `resource`.
        audience: Option<String>,
        /// Asked for.
        scopes: Vec<String>,
        /// Which token of the person's is exchanged.
        subject_token: SubjectToken,
        /// Hosts (globs) that people's tokens may be sent to; absent where tenancy does not say.
        subject_hosts: Option<Vec<String>>,
    },
    /// A person's identity provider asserts who they are to the origin's authorization server (ID-JAG, MCP enterprise-managed
    /// authorization).
    IdJag {
        /// The origin's authorization server.
        issuer: String,
        /// The gateway, as that server knows it.
        client: RegisteredClient,
        /// Asked for.
        scopes: Vec<String>,
    },
}

/// A token that speaks of a person (RFC 8693 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectToken {
    /// OpenID Connect's.
    IdToken,
    /// OAuth's.
    AccessToken,
}

/// Who gives tokens for an origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum AuthorizationServer {
    /// Whom the origin's metadata names (RFC 9728).
    OfOrigin,
    /// The one with this issuer identifier, byte for byte as its metadata states it (RFC 8414).
    Issuer(String),
    /// Whoever answers at this token endpoint. It needs no metadata.
    TokenEndpoint(Url),
}

impl OriginAuth {
    /// The static credential that it refers to.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretKey> {
        match self {
            Self::Header { value, .. } | Self::QueryParameter { value, .. } => Some(value),
            _ => self.client()?.secret.as_ref(),
        }
    }

    /// The client that was registered by hand at the origin's authorization server.
    #[must_use]
    pub fn client(&self) -> Option<&RegisteredClient> {
        match self {
            Self::UserOAuth { registration, .. } | Self::SharedOAuth { registration, .. } => {
                match registration {
                    ClientRegistration::Auto => None,
                    ClientRegistration::Client(client) => Some(client),
                }
            }
            Self::ClientCredentials { client, .. }
            | Self::TokenExchange { client, .. }
            | Self::IdJag { client, .. } => Some(client),
            Self::None | Self::Header { .. } | Self::QueryParameter { .. } => None,
        }
    }

    /// The scopes that a person is asked to consent to, and how the gateway becomes a client for that; `None` where nobody is asked.
    #[must_use]
    pub fn consent(&self) -> Option<(&[String], &ClientRegistration)> {
        match self {
            Self::UserOAuth { scopes, registration } | Self::SharedOAuth { scopes, registration } => {
                Some((scopes, registration))
            }
            _ => None,
        }
    }
}

/// How the gateway becomes an OAuth client of an origin's authorization server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ClientRegistration {
    /// Client ID metadata document where supported, else dynamic registration (RFC 7591).
    Auto,
    /// Registered by hand.
    Client(RegisteredClient),
}

/// A client of an origin's authorization server that was registered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredClient {
    /// Client id.
    pub id: String,
    /// Client secret or private key (PEM, PKCS #8); absent for a public client.
    pub secret: Option<SecretKey>,
    /// How the secret is presented.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// The `kid` of what the private key signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

/// RFC 7591 section 2, `token_endpoint_auth_method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    /// Public client.
    None,
    /// HTTP Basic.
    ClientSecretBasic,
    /// In the form body.
    ClientSecretPost,
    /// An assertion that the private key signs is, instead (RFC 7523, section 2.2).
    PrivateKeyJwt,
}
