//! The contract: what the compiler produces and the data plane serves from.
//!
//! Serde types only: no Kubernetes, no I/O. There is one document per *source* (the gateway, each origin, each virtual MCP,
//! each team), so that editing one resource rewrites one document however many routes it touches; the data plane joins them.
//! Identities (`uid`) are the resources' own, so that a name that is used again inherits nothing (DESIGN section 5).

mod address_class;
mod gateway;
mod origin;
mod origin_auth;
mod query;
mod route;
mod secrets;
mod team;

pub use address_class::{AddressClass, address_class, any_network_contains, canonical_ip};
pub use gateway::{
    ClaimNames, ClientPolicy, DevelopmentUser, GatewayConfig, IdentityProviderConfig, IdentityProviderKind,
    ProviderClient, TokenLifetimes, WorkloadConfig, WorkloadCredential,
};
pub use origin::{Network, OriginConfig, OriginLimits};
pub use origin_auth::{
    AuthorizationServer, ClientRegistration, OriginAuth, RegisteredClient, SubjectToken,
    TokenEndpointAuthMethod,
};
pub use query::with_query_parameter;
pub use route::{Access, Annotations, Capabilities, Override, RouteConfig, Selection};
pub use secrets::{SecretKey, SecretValue, Secrets};
pub use team::{Members, TeamAccess, TeamConfig};

use serde::{Deserialize, Serialize};

/// Everything that one installation serves from, joined by [`uid`](RouteDoc::uid) and name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The settings of the installation.
    pub gateway: GatewayConfig,
    /// The upstream MCP servers.
    pub origins: Vec<OriginConfig>,
    /// The virtual MCPs.
    pub routes: Vec<RouteConfig>,
    /// Who may use them.
    pub teams: Vec<TeamConfig>,
    /// Static credentials that the documents above refer to. Never part of a document's hash or of a log line.
    #[serde(skip)]
    pub secrets: Secrets,
}
