//! `OriginMcp`: an upstream MCP server.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::origin_auth::OriginAuth;
use crate::values::{ByteSize, Condition, Duration, SecretRef, syntax};

/// An upstream MCP server: where it is, and how the gateway authenticates there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "OriginMcp",
    plural = "originmcps",
    shortname = "omcp",
    category = "mcp",
    namespaced,
    status = "OriginMcpStatus",
    derive = "PartialEq",
    doc = "An upstream MCP server.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(name = "Tools", type_ = "integer", json_path = ".status.catalog.tools"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
pub struct OriginMcpSpec {
    /// For people. Default: the name.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The Streamable HTTP endpoint. Plain http only within the private networks that tenancy allows.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    pub url: String,
    /// Kill switch: no traffic, and open streams end. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How the gateway authenticates there: exactly one member.
    pub auth: OriginAuth,
    /// Other namespaces whose virtual MCPs may use this origin; `*` for all that the gateway's tenancy serves. Default: none.
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL_OR_WILDCARD))
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_namespaces: Vec<String>,
    /// Whom it must prove to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What one call may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// Whom an origin must prove to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Extra trust anchors for TLS with the origin, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<SecretRef>,
}

/// What one call may cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Time until the head of the answer. Streams have no idle limit. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Duration>,
    /// Largest answer to one request, and on a stream the largest single event. Default: 10Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<ByteSize>,
}

/// What the operator last found out about an origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginMcpStatus {
    /// The generation of the resource that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The MCP revision that the origin speaks with the operator, or with the data plane where only people may ask.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// What it offers; where only people with an account may ask, what they were shown lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Catalog>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Reachable`, `CatalogSynced`, and `Ready`, which sums them up.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What an origin offers, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// Tools.
    pub tools: i64,
    /// Prompts.
    pub prompts: i64,
    /// Resources; absent where each person has their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<i64>,
    /// Resource templates.
    pub resource_templates: i64,
    /// Changes whenever a definition does.
    #[schemars(length(max = 64))]
    pub hash: String,
}
