//! Config documents: the output of the compiler, from which the data plane serves.
//!
//! Serde types only: no Kubernetes client, no I/O. There is one document per *source*: the gateway, each
//! origin, each virtual MCP and each team. An edit of one resource rewrites one document, even if it affects
//! many routes. The data plane joins the documents. Identities (`uid`) come from the resources, so a new
//! resource under a reused name inherits nothing.
//!
//! Documents are read by versions that are one release older or newer, so readers ignore unknown fields. A
//! field whose absence would grant more belongs to a feature that the document requires (`features.rs`).

mod address_class;
mod destination;
mod features;
mod gateway;
mod loopback;
mod origin;
mod origin_auth;
mod query;
mod resource_uri;
mod route;
mod secrets;
mod team;

pub use address_class::{AddressClass, address_class, any_network_contains, canonical_ip};
pub use destination::CredentialDestination;
pub use features::{FEATURES, unknown_feature};
pub use gateway::{
    ClaimNames, ClientPolicy, DevelopmentUser, EventOverload, GatewayConfig, IdentityProviderConfig,
    IdentityProviderKind, ProviderClient, TokenLifetimes, WorkloadConfig, WorkloadCredential,
};
pub use loopback::is_loopback;
pub use origin::{CatalogSharing, Network, OriginConfig, OriginLimits};
pub use origin_auth::{
    AuthorizationServer, ClientRegistration, OriginAuth, RegisteredClient, SubjectToken,
    TokenEndpointAuthMethod,
};
pub use query::with_query_parameter;
pub use resource_uri::{
    ResourceUri, is_ambiguous as is_ambiguous_uri, normalize as normalize_uri,
    rule_spellings as uri_rule_spellings,
};
pub use route::{Access, Annotations, Capabilities, Override, RouteConfig, Selection};
pub use secrets::{SecretKey, SecretValue, Secrets};
pub use team::{Members, TeamAccess, TeamConfig};

use serde::{Deserialize, Serialize};

/// All config documents of one installation. They refer to each other by [`uid`](RouteConfig::uid) and name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Settings of the installation.
    pub gateway: GatewayConfig,
    /// The upstream MCP servers.
    pub origins: Vec<OriginConfig>,
    /// The virtual MCPs.
    pub routes: Vec<RouteConfig>,
    /// Teams that may use the virtual MCPs.
    pub teams: Vec<TeamConfig>,
    /// Static credentials that the documents refer to. They are never part of a document's hash or of a log
    /// line.
    #[serde(skip)]
    pub secrets: Secrets,
}
