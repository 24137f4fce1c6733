//! Selections of tools, prompts and resources: include, exclude and overrides.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::syntax;

/// Tools of the origin that are offered, and the names that clients see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ToolSelection {
    /// Names or globs (`*` matches any number of characters). Absent: all. `[]`: none.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Names or globs that are not offered, even if `include` matches them.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Changes to the name and description of individual tools.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub overrides: Vec<ToolOverride>,
}

/// Prompts of the origin that are offered, and the names that clients see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct PromptSelection {
    /// Names or globs (`*` matches any number of characters). Absent: all. `[]`: none.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Names or globs that are not offered, even if `include` matches them.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Changes to the name and description of individual prompts.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub overrides: Vec<PromptOverride>,
}

/// Resources (by URI) or resource templates (by URI template) of the origin that are offered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ResourceSelection {
    /// URIs or globs (`*` matches any number of characters, including `/`). Absent: all. `[]`: none. A glob must
    /// match a resource's URI as written and in normal form (RFC 3986), with and without query and fragment.
    #[schemars(length(max = 512), inner(length(min = 1, max = 2048)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// URIs or globs that are not offered, even if `include` matches them. They apply to every spelling of a
    /// resource's URI. URIs with dot segments, `\`, or an escaped `.`, `/` or `\` are never readable if there is
    /// any rule for resources.
    #[schemars(length(max = 512), inner(length(min = 1, max = 2048)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Changes to the title and description of individual resources.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub overrides: Vec<ResourceOverride>,
}

/// Exposed tools that a team may see and call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct VisibleTools {
    /// Exposed names or globs (`*` matches any number of characters). Absent: all. `[]`: none.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Exposed names or globs that are denied, even if `include` matches them.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// Changes to one tool as clients see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ToolOverride {
    /// Name at the origin.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Exposed name, which clients see instead.
    #[schemars(length(min = 1, max = 128), regex(pattern = syntax::EXPOSED_NAME))]
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub exposed: Option<String>,
    /// Replaces the title.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Replaces the description.
    #[schemars(length(max = 8192))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Annotations that replace those of the origin, one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<ToolAnnotations>,
}

/// `ToolAnnotations` of the MCP schema: hints for clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolAnnotations {
    /// Title for display.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The tool changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    /// The tool may delete or overwrite data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    /// Repeated calls with the same arguments change nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    /// The tool interacts with systems outside the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

/// Changes to one prompt as clients see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct PromptOverride {
    /// Name at the origin.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Exposed name, which clients see instead.
    #[schemars(length(min = 1, max = 128), regex(pattern = syntax::EXPOSED_NAME))]
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub exposed: Option<String>,
    /// Replaces the title.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Replaces the description.
    #[schemars(length(max = 8192))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Changes to one resource or resource template as clients see it. Its URI does not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ResourceOverride {
    /// URI or URI template.
    #[schemars(length(min = 1, max = 2048))]
    pub name: String,
    /// Replaces the title.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Replaces the description.
    #[schemars(length(max = 8192))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
