//! `VirtualMcp`: the endpoint that clients connect to.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Condition, PromptSelection, ResourceSelection, ToolSelection, syntax};

/// The endpoint that MCP clients connect to: a slug, an origin and a selection of its capabilities.
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
    doc = "The endpoint that MCP clients connect to: a slug, an origin and a selection of its capabilities.",
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
    /// Last part of the URL `{publicUrl}/mcp/{slug}`. Unique within the gateway. Default: the resource's
    /// name.
    #[schemars(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Display name. Default: the resource's name.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Description of its purpose, shown to users.
    #[schemars(length(max = 2048))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Kill switch: requests fail and open streams end. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Name of the gateway's identity provider whose users it serves. Default: the first one.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_provider: Option<String>,
    /// The origin that it forwards to. Exactly one.
    #[schemars(length(min = 1, max = 1))]
    pub origins: Vec<OriginRef>,
    /// Capabilities of the origin that are offered. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Who may use it: members of a Team that names it, or everyone who signs in. Default: Teams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

/// Reference to an origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginRef {
    /// Name of the OriginMcp.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the OriginMcp, which must then list the namespace of this VirtualMcp in
    /// `allowedNamespaces`. Default: the same namespace.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Capabilities of the origin that are offered, per kind. If a kind is absent, all of it is offered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Tools, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolSelection>,
    /// Prompts, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptSelection>,
    /// Resources, by URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceSelection>,
    /// Resource templates, by URI template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_templates: Option<ResourceSelection>,
}

/// Who may use a virtual MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Members of a Team that names it.
    Teams,
    /// Everyone who signs in through its identity provider.
    Everyone,
}

/// State that the operator last reported for a virtual MCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualMcpStatus {
    /// Generation of the resource that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// URL that clients connect to.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, and their summary `Ready`.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
