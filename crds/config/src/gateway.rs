//! Config document of the gateway (`McpGateway`).

use serde::{Deserialize, Serialize};
use url::Url;

use crate::SecretKey;

/// The settings of one installation (`McpGateway`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayConfig {
    /// Name of the resource. It appears in events.
    pub name: String,
    /// Scheme, host and port that clients use, without a path. Never derived from a request.
    pub public_url: Url,
    /// Identity providers: at least one. The first is the default.
    pub identity_providers: Vec<IdentityProviderConfig>,
    /// Lifetimes of tokens and browser sessions.
    pub tokens: TokenLifetimes,
    /// How long calls are served without a fresh revocation feed, in seconds.
    pub store_outage_grace_seconds: u64,
    /// Administrators of the gateway.
    pub admins: crate::Members,
    /// OAuth clients that may register themselves, and workloads.
    pub clients: ClientPolicy,
    /// Proxies (networks) whose `X-Forwarded-For` header is trusted.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// What to do while events are written more slowly than they occur.
    #[serde(default, skip_serializing_if = "EventOverload::is_default")]
    pub event_overload: EventOverload,
}

/// What to do while events are written more slowly than they occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventOverload {
    /// Drop events and count them.
    #[default]
    Drop,
    /// Refuse requests.
    Refuse,
}

impl EventOverload {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One identity provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProviderConfig {
    /// Name, unique within the gateway. It is part of the identity of every user who signs in through this
    /// provider.
    pub name: String,
    /// Earlier issuers of the same provider. The name may be bound to one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous_issuers: Vec<String>,
    /// Protocol and its settings.
    pub kind: IdentityProviderKind,
}

/// The protocol of an identity provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::large_enum_variant, reason = "an installation has one or two")]
pub enum IdentityProviderKind {
    /// OpenID Connect with discovery.
    Oidc(ProviderClient),
    /// OAuth 2.0 with metadata (RFC 8414) and without id_token. Claims come from a userinfo endpoint.
    #[serde(rename_all = "camelCase")]
    Oauth {
        /// The gateway's client registration.
        client: ProviderClient,
        /// Userinfo endpoint: returns the claims of an access token's user.
        userinfo_url: Url,
    },
    /// A fixed list of users without passwords; loopback only.
    Development {
        /// Users that can be selected.
        users: Vec<DevelopmentUser>,
    },
}

impl IdentityProviderKind {
    /// The gateway's client registration at the provider, if the protocol needs one.
    #[must_use]
    pub const fn client(&self) -> Option<&ProviderClient> {
        match self {
            Self::Oidc(client) | Self::Oauth { client, .. } => Some(client),
            Self::Development { .. } => None,
        }
    }
}

/// The gateway's client registration at an identity provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderClient {
    /// Issuer identifier, byte for byte as in the provider's metadata (OpenID Connect Discovery 1.0, section
    /// 4.3; RFC 8414, section 3.3).
    pub issuer: String,
    /// Client id of the gateway.
    pub client_id: String,
    /// Client secret of the gateway; absent for a public client with PKCE.
    pub client_secret: Option<SecretKey>,
    /// Scopes to request. They include `openid` for OpenID Connect.
    pub scopes: Vec<String>,
    /// Names of the claims in the id_token or userinfo response that describe a user.
    pub claims: ClaimNames,
    /// Trust email addresses even if the provider does not report `email_verified`.
    pub trust_email: bool,
    /// Keep refresh tokens of sign-ins, to detect changed groups and deactivated users.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub renew: bool,
    /// Accept the provider's identity assertions (ID-JAG).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_jag: bool,
    /// Private networks that the provider may be in.
    pub private_networks: Vec<ipnet::IpNet>,
    /// Additional CA certificates, PEM.
    pub ca_bundle_pem: Option<String>,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// Names of the claims that describe a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimNames {
    /// Claim with the stable identifier of the user at this provider.
    pub subject: String,
    /// Claim with the email address.
    pub email: String,
    /// Claim with the display name.
    pub name: String,
    /// Claim with the group names: an array, or one string.
    pub groups: String,
}

/// A user of the development sign-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DevelopmentUser {
    /// Email address. It is also the subject.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Groups, as an identity provider would report them.
    pub groups: Vec<String>,
}

/// Lifetimes in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenLifetimes {
    /// Lifetime of access tokens.
    pub access_seconds: u64,
    /// Lifetime of a refresh-token family, counted from the first token. Renewal does not extend it.
    pub refresh_seconds: u64,
    /// Lifetime of browser sessions.
    pub session_seconds: u64,
}

/// OAuth clients that may register themselves, and clients that are registered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientPolicy {
    /// Hosts (globs) from which client ID metadata documents are fetched.
    pub metadata_document_hosts: Vec<String>,
    /// Whether dynamic client registration (RFC 7591) is open.
    pub dynamic_registration: bool,
    /// Clients that are registered by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadConfig>,
}

/// An OAuth client that is registered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadConfig {
    /// Name, unique within the gateway. It is the `client_id`.
    pub name: String,
    /// Display name.
    pub display_name: String,
    /// Credential that it authenticates with.
    pub credential: WorkloadCredential,
}

/// Credential of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkloadCredential {
    /// A client secret.
    Secret(SecretKey),
    /// Assertions (RFC 7523) that are verified with this JSON Web Key Set of public keys (RFC 7517, section
    /// 5).
    Jwks(serde_json::Value),
    /// Assertions that are verified with the key set at a URL.
    #[serde(rename_all = "camelCase")]
    JwksUri {
        /// URL of the key set.
        url: Url,
        /// Private networks that the URL may be in.
        private_networks: Vec<ipnet::IpNet>,
    },
}
