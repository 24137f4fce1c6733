//! `VirtualMcp`: what clients connect to.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Condition, PromptSelection, ResourceSelection, ToolSelection, syntax};

/// What clients connect to: a slug, an origin, a curated set of capabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "VirtualMcp",
    plural = "virtualmcps",
    shortname = "vmcp",
    category = "mcp",
    namespaced,
    status = "VirtualMcpStatus",
    derive = "PartialEq",
    doc = "What MCP clients connect to: a slug, an origin, a curated set of its capabilities.",
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
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Access", type_ = "string", json_path = ".spec.access", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
pub struct VirtualMcpSpec {
    /// Served at `{publicUrl}/mcp/{slug}`. Unique within the gateway. Default: the name.
    #[schemars(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// For people. Default: the name.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// For people: what it is for.
    #[schemars(length(max = 2048))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Kill switch: no traffic, and open streams end. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Name of the identity provider whose users it serves. Default: the gateway's first.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_provider: Option<String>,
    /// The origin behind it: exactly one.
    #[schemars(length(min = 1, max = 1))]
    pub origins: Vec<OriginRef>,
    /// What of the origin is offered. Default: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Who may use it. Default: Teams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

/// Names an origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginRef {
    /// Name of the `OriginMcp`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, where it is another one; it must allow this one in its `allowedNamespaces`.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What of the origin is offered, per kind. A kind that is absent is offered whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// By name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolSelection>,
    /// By name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptSelection>,
    /// By URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceSelection>,
    /// By URI template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_templates: Option<ResourceSelection>,
}

/// Who may use a virtual MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Members of a team that names it.
    Teams,
    /// Everyone who signs in through its identity provider.
    Everyone,
}

/// What the operator last found out about a virtual MCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualMcpStatus {
    /// The generation of the resource that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where clients reach it.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, and `Ready`, which sums them up.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
