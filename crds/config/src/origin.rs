use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::OriginAuth;

/// An upstream MCP server (`OriginMcp`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OriginConfig {
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
