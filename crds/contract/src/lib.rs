//! The contract: what the compiler produces and the data plane serves from.
//!
//! Serde types only: no Kubernetes, no I/O. There is one document per *source* (the gateway, each origin, each virtual MCP,
//! each team), so that editing one resource rewrites one document however many routes it touches; the data plane joins them.
//! Identities (`uid`) are the resources' own, so that a name that is used again inherits nothing (DESIGN section 5).

mod access;
mod gateway;
mod origin;
mod origin_auth;
mod query;
mod reach;
mod route;
mod secrets;

pub use access::{Members, TeamAccess, TeamDoc};
pub use gateway::{
    ClaimNames, ClientPolicy, DevelopmentUser, GatewayDoc, IdentityProviderDoc, IdentityProviderKind,
    ProviderClient, TokenLifetimes, WorkloadCredential, WorkloadDoc,
};
pub use origin::{Network, OriginDoc, OriginLimits};
pub use origin_auth::{
    AuthorizationServer, ClientRegistration, OriginAuth, RegisteredClient, SubjectToken,
    TokenEndpointAuthMethod,
};
pub use query::with_parameter;
pub use reach::{Reach, carried, covers, reach};
pub use route::{Access, Annotations, Capabilities, Override, RouteDoc, Selection};
pub use secrets::{SecretKey, SecretValue, Secrets};

use serde::{Deserialize, Serialize};

/// Everything that one installation serves from, joined by [`uid`](RouteDoc::uid) and name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contract {
    /// The settings of the installation.
    pub gateway: GatewayDoc,
    /// The upstream MCP servers.
    pub origins: Vec<OriginDoc>,
    /// The virtual MCPs.
    pub routes: Vec<RouteDoc>,
    /// Who may use them.
    pub teams: Vec<TeamDoc>,
    /// Static credentials that the documents above refer to. Never part of a document's hash or of a log line.
    #[serde(skip)]
    pub secrets: Secrets,
}
