use serde::{Deserialize, Serialize};
use url::Url;

use crate::SecretKey;

/// The settings of one installation (`McpGateway`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayConfig {
    /// The resource's name, as it appears in events.
    pub name: String,
    /// Scheme, host and port that clients use; no path. Never derived from a request.
    pub public_url: Url,
    /// At least one; the first is the default.
    pub identity_providers: Vec<IdentityProviderConfig>,
    /// How long what the gateway issues is valid.
    pub tokens: TokenLifetimes,
    /// How long calls go on without a fresh revocation feed, in seconds.
    pub store_outage_grace_seconds: u64,
    /// Who administers the gateway.
    pub admins: crate::Members,
    /// Which OAuth clients may introduce themselves.
    pub clients: ClientPolicy,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// One way for people to sign in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityProviderConfig {
    /// Unique within the gateway; part of every subject that signs in through it.
    pub name: String,
    /// The protocol it speaks.
    pub kind: IdentityProviderKind,
}

/// The protocol of an identity provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "an installation has one or two")]
pub enum IdentityProviderKind {
    /// OpenID Connect with discovery.
    Oidc(ProviderClient),
    /// OAuth 2.0 with metadata (RFC 8414): no id_token, who somebody is comes from an endpoint of its own.
    #[serde(rename_all = "camelCase")]
    Oauth {
        /// The gateway as its client.
        client: ProviderClient,
        /// Says who holds an access token.
        userinfo_url: Url,
    },
    /// A fixed list of users without passwords; loopback only.
    Development {
        /// Who may be chosen.
        users: Vec<DevelopmentUser>,
    },
}

impl IdentityProviderKind {
    /// The gateway's registration there, where it needs one.
    #[must_use]
    pub const fn client(&self) -> Option<&ProviderClient> {
        match self {
            Self::Oidc(client) | Self::Oauth { client, .. } => Some(client),
            Self::Development { .. } => None,
        }
    }
}

/// The gateway as a client of an identity provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderClient {
    /// Issuer identifier, byte for byte as the provider states it (OpenID Connect Discovery 1.0, section 4.3; RFC 8414, section 3.3).
    pub issuer: String,
    /// The gateway's client id there.
    pub client_id: String,
    /// The gateway's client secret there; absent for a public client with PKCE.
    pub client_secret: Option<SecretKey>,
    /// Requested scopes; `openid` among them where it speaks OpenID Connect.
    pub scopes: Vec<String>,
    /// Where a principal's properties are found in the id_token or at userinfo.
    pub claims: ClaimNames,
    /// Believe the email although the provider does not say `email_verified`.
    pub trust_email: bool,
    /// Keep the refresh tokens that it gives, to hear of changes to people and of their end.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub renew: bool,
    /// Take the provider's identity assertions (ID-JAG).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_jag: bool,
    /// Networks beyond the public internet in which the provider may live.
    pub private_networks: Vec<ipnet::IpNet>,
    /// Extra trust anchors, PEM.
    pub ca_bundle_pem: Option<String>,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// Names of claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimNames {
    /// Stable identifier of the person at this provider.
    pub subject: String,
    /// Email address.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Array of group names (or one string).
    pub groups: String,
}

/// Somebody who can be chosen in the development sign-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevelopmentUser {
    /// Also the subject.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Groups, as an identity provider would report them.
    pub groups: Vec<String>,
}

/// Lifetimes in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenLifetimes {
    /// Access token.
    pub access_seconds: u64,
    /// Refresh family, absolute from the first issue.
    pub refresh_seconds: u64,
    /// Browser session.
    pub session_seconds: u64,
}

/// Which OAuth clients may introduce themselves, and those that are registered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientPolicy {
    /// Hosts (globs) whose client ID metadata documents are fetched.
    pub metadata_document_hosts: Vec<String>,
    /// Whether RFC 7591 registration is open.
    pub dynamic_registration: bool,
    /// Programs that sign in as themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadConfig>,
}

/// A program that signs in as itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadConfig {
    /// Unique within the gateway; its `client_id`.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// What it shows to be itself.
    pub credential: WorkloadCredential,
}

/// What a program shows to be itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum WorkloadCredential {
    /// A client secret.
    Secret(SecretKey),
    /// An assertion (RFC 7523) that one of these keys signed: a JSON Web Key Set of public keys (RFC 7517, section 5).
    Jwks(serde_json::Value),
    /// The same, with the keys at an address.
    #[serde(rename_all = "camelCase")]
    JwksUri {
        /// Where they are.
        url: Url,
        /// Networks beyond the public internet in which that may be.
        private_networks: Vec<ipnet::IpNet>,
    },
}
