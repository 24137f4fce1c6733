use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::syntax;

/// Which tools of the origin are offered, and under what names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ToolSelection {
    /// Names or globs (`*` stands for any run of characters). Absent: all. `[]`: none.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Names or globs that are not offered, whatever `include` says.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How single tools are presented.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub overrides: Vec<ToolOverride>,
}

/// Which prompts of the origin are offered, and under what names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct PromptSelection {
    /// Names or globs (`*` stands for any run of characters). Absent: all. `[]`: none.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Names or globs that are not offered, whatever `include` says.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How single prompts are presented.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub overrides: Vec<PromptOverride>,
}

/// Which resources (by URI) or resource templates (by URI template) of the origin are offered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ResourceSelection {
    /// URIs or globs (`*` stands for any run of characters, `/` included). Absent: all. `[]`: none.
    #[schemars(length(max = 512), inner(length(min = 1, max = 2048)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// URIs or globs that are not offered, whatever `include` says.
    #[schemars(length(max = 512), inner(length(min = 1, max = 2048)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How single resources are presented.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub overrides: Vec<ResourceOverride>,
}

/// Which of the exposed tools somebody may see and call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct VisibleTools {
    /// Exposed names or globs (`*` stands for any run of characters). Absent: all. `[]`: none.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Exposed names or globs that are refused, whatever `include` says.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// How one tool is presented to clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ToolOverride {
    /// The origin's name for it.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The name that clients see instead.
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
    /// Put over the origin's annotations, one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<ToolAnnotations>,
}

/// `ToolAnnotations` of the MCP schema: hints for clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolAnnotations {
    /// For people.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// It changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    /// It may destroy something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    /// Calling it again with the same arguments changes nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    /// It reaches things outside the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

/// How one prompt is presented to clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct PromptOverride {
    /// The origin's name for it.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The name that clients see instead.
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

/// How one resource or template is presented to clients. Its URI stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ResourceOverride {
    /// Its URI, or URI template.
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
