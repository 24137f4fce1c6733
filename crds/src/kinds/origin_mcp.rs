//! `OriginMcp`: an upstream MCP server.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::origin_auth::OriginAuth;
use crate::values::{ByteSize, Condition, Duration, SecretRef, syntax};

/// An upstream MCP server: its URL and how the gateway authenticates there.
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
    /// Display name. Default: the resource's name.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The Streamable HTTP endpoint. Plain http is valid only in private networks that the gateway's tenancy
    /// allows.
    #[schemars(length(min = 8, max = 2048), regex(pattern = syntax::HTTP_URL))]
    pub url: String,
    /// Kill switch: requests fail and open streams end. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How the gateway authenticates to the origin. Exactly one member must be set.
    pub auth: OriginAuth,
    /// Other namespaces whose virtual MCPs may use this origin. `*` allows all namespaces that the gateway
    /// serves. Default: none.
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL_OR_WILDCARD))
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_namespaces: Vec<String>,
    /// Who may see the capabilities that the origin shows to a user's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogSettings>,
    /// TLS settings for connections to the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Limits of one request to the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// Who may see the capabilities that an origin shows to a user's account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogSettings {
    /// Whether users may see what the origin showed to another user's account (userOAuth, tokenExchange,
    /// idJag). Has no effect with other modes, where the origin shows the same to all users. Default:
    /// Private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<CatalogSharing>,
}

/// Who may see the capabilities that an origin shows to a user's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CatalogSharing {
    /// Only that user, unless the origin itself declares a list public (`cacheScope: public`).
    Private,
    /// All users of the origin's virtual MCPs. Choose this only if the origin shows the same tools, prompts
    /// and resource templates to everyone.
    Shared,
}

/// TLS settings for connections to an origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Additional CA certificates (PEM) for TLS to the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<SecretRef>,
}

/// Limits of one request to an origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Maximum time until the response headers arrive. Streams have no idle timeout. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Duration>,
    /// Maximum size of one response; on a stream, of one event. Default: 10Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<ByteSize>,
}

/// State that the operator last reported for an origin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginMcpStatus {
    /// Generation of the resource that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// MCP revision that the origin uses with the operator. If only connected users can list its
    /// capabilities, the revision that it uses with the data plane.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// Number of capabilities that the origin offers. If only connected users can list them, of those that
    /// users were recently shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Catalog>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Reachable`, `CatalogSynced`, and their summary `Ready`.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Number of capabilities that an origin offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// Number of tools.
    pub tools: i64,
    /// Number of prompts.
    pub prompts: i64,
    /// Number of resources. Absent if each user has different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<i64>,
    /// Number of resource templates.
    pub resource_templates: i64,
    /// Hash of all definitions. It changes when a definition changes.
    #[schemars(length(max = 64))]
    pub hash: String,
}
