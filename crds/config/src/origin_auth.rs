//! How the gateway authenticates to an origin (`OriginMcp.spec.auth`).

use serde::{Deserialize, Serialize};

use url::Url;

use crate::SecretKey;

/// How the gateway authenticates to an origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OriginAuth {
    /// No credential is sent.
    None,
    /// A static header, the same for every user.
    Header {
        /// Header name.
        name: String,
        /// Text in front of the value, for example `Bearer `.
        prefix: String,
        /// Header value.
        value: SecretKey,
    },
    /// A static query parameter, the same for every user.
    QueryParameter {
        /// Name of the parameter.
        name: String,
        /// Value of the parameter, not URL-encoded.
        value: SecretKey,
    },
    /// Each user connects a personal account (OAuth 2.1).
    UserOAuth {
        /// Scopes to request if the origin's challenge names none.
        scopes: Vec<String>,
        /// How the gateway is registered as a client.
        registration: ClientRegistration,
    },
    /// One account that all users share and that an administrator connects (OAuth 2.1).
    SharedOAuth {
        /// Scopes to request if the origin's challenge names none.
        scopes: Vec<String>,
        /// How the gateway is registered as a client.
        registration: ClientRegistration,
    },
    /// The gateway gets a token for itself, the same for every user (RFC 6749 section 4.4).
    ClientCredentials {
        /// Authorization server that issues the tokens.
        server: AuthorizationServer,
        /// The gateway's client registration at that server.
        client: RegisteredClient,
        /// Scopes to request. If empty, those of the origin's challenge, otherwise those of its metadata.
        scopes: Vec<String>,
    },
    /// The gateway exchanges a user's identity provider token for a token of this origin (RFC 8693).
    TokenExchange {
        /// Authorization server that exchanges tokens; never [`OfOrigin`](AuthorizationServer::OfOrigin).
        server: AuthorizationServer,
        /// The gateway's client registration at that server.
        client: RegisteredClient,
        /// `audience` parameter, if the server requires it in addition to `resource`.
        audience: Option<String>,
        /// Scopes to request.
        scopes: Vec<String>,
        /// Type of the user's token that is exchanged.
        subject_token: SubjectToken,
        /// Hosts (globs) that users' tokens may be sent to; absent if the gateway has no tenancy list.
        subject_hosts: Option<Vec<String>>,
    },
    /// A user's identity provider issues an identity assertion for the origin's authorization server (ID-JAG,
    /// MCP enterprise-managed authorization).
    IdJag {
        /// Issuer identifier of the origin's authorization server.
        issuer: String,
        /// The gateway's client registration at that server.
        client: RegisteredClient,
        /// Scopes to request.
        scopes: Vec<String>,
    },
}

/// Type of a user's token (RFC 8693 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectToken {
    /// OpenID Connect id_token.
    IdToken,
    /// OAuth access token.
    AccessToken,
}

/// Authorization server that issues tokens for an origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuthorizationServer {
    /// The server that the origin's metadata names (RFC 9728).
    OfOrigin,
    /// The server with this issuer identifier, byte for byte as in its metadata (RFC 8414).
    Issuer(String),
    /// The server with this token endpoint. It needs no metadata.
    TokenEndpoint(Url),
}

impl OriginAuth {
    /// Whether each user reaches the origin with their own account there.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        match self {
            Self::UserOAuth { .. } | Self::TokenExchange { .. } | Self::IdJag { .. } => true,
            Self::None
            | Self::Header { .. }
            | Self::QueryParameter { .. }
            | Self::SharedOAuth { .. }
            | Self::ClientCredentials { .. } => false,
        }
    }

    /// The static credential that this method uses.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretKey> {
        match self {
            Self::Header { value, .. } | Self::QueryParameter { value, .. } => Some(value),
            _ => self.client()?.secret.as_ref(),
        }
    }

    /// The client that is registered by hand at the origin's authorization server.
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

    /// Scopes that a user consents to, and the gateway's client registration. `None` for methods without
    /// consent.
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

/// How the gateway is registered as a client of an origin's authorization server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientRegistration {
    /// Client ID metadata document if the server supports it, otherwise dynamic registration (RFC 7591).
    Auto,
    /// Client that is registered by hand.
    Client(RegisteredClient),
}

/// A client of an origin's authorization server that is registered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisteredClient {
    /// Client id.
    pub id: String,
    /// Client secret or private key (PEM, PKCS #8); absent for a public client.
    pub secret: Option<SecretKey>,
    /// How the client authenticates.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// `kid` header of signed assertions.
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
    /// Secret in the form body.
    ClientSecretPost,
    /// A signed assertion instead of a secret (RFC 7523, section 2.2).
    PrivateKeyJwt,
}
