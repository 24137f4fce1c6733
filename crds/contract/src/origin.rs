use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::SecretKey;

/// An upstream MCP server (`OriginMcp`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OriginDoc {
    /// The resource's UID: connections bind to it, not to the name.
    pub uid: String,
    /// Opaque, URL-safe identifier for `/connect/{id}`; derived from the UID.
    pub id: String,
    /// `namespace/name`.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// The Streamable HTTP endpoint.
    pub url: Url,
    /// Kill switch: no traffic, open streams end.
    pub suspended: bool,
    /// How the gateway authenticates there.
    pub auth: OriginAuth,
    /// Where it may live and whom it must prove to be.
    pub network: Network,
    /// What one call may cost.
    pub limits: OriginLimits,
}

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
    /// Each user connects an account of their own (OAuth 2.1).
    UserOAuth {
        /// Asked for at consent when the origin's challenge names none.
        scopes: Vec<String>,
        /// How the gateway becomes a client there.
        registration: ClientRegistration,
    },
}

/// How the gateway becomes an OAuth client of an origin's authorization server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ClientRegistration {
    /// Client ID metadata document where supported, else dynamic registration (RFC 7591).
    Auto,
    /// Registered by hand.
    Client {
        /// Client id.
        id: String,
        /// Client secret; absent for a public client.
        secret: Option<SecretKey>,
        /// How the secret is presented.
        token_endpoint_auth_method: TokenEndpointAuthMethod,
    },
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
}

/// Where an origin may live.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Networks beyond the public internet that tenancy allows to it.
    pub private_networks: Vec<IpNet>,
    /// Extra trust anchors, PEM.
    pub ca_bundle_pem: Option<String>,
}

/// What one call may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OriginLimits {
    /// Time until the response's head, in milliseconds. Streams have no idle limit.
    pub request_timeout_ms: u64,
    /// Largest answer to one request, in bytes; on a stream, largest single event.
    pub response_bytes: u64,
}
