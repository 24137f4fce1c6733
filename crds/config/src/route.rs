//! Config document of a virtual MCP (`VirtualMcp`).

use serde::{Deserialize, Serialize};

/// A virtual MCP (`VirtualMcp`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteConfig {
    /// UID of the resource. Grants refer to it, not to the slug.
    pub uid: String,
    /// `namespace/name`.
    pub name: String,
    /// Last part of the URL `{publicUrl}/mcp/{slug}`.
    pub slug: String,
    /// Display name.
    pub display_name: String,
    /// Description, shown to users.
    pub description: String,
    /// Kill switch: requests fail and open streams end.
    pub suspended: bool,
    /// Name of the identity provider whose users it serves.
    pub identity_provider: String,
    /// UID of its origin.
    pub origin: String,
    /// Capabilities of the origin that are offered.
    pub capabilities: Capabilities,
    /// Who may use it.
    pub access: Access,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Members of a team that names the route.
    Teams,
    /// Everyone who signs in through the route's identity provider.
    Everyone,
}

/// Capabilities of the origin that are offered, per kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Tools, by name.
    pub tools: Selection,
    /// Prompts, by name.
    pub prompts: Selection,
    /// Resources, by URI.
    pub resources: Selection,
    /// Resource templates, by URI template.
    pub resource_templates: Selection,
}

/// Selection among the origin's capabilities of one kind. Exclude wins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// Names or globs (`*` also matches `/`). Absent: all. Empty: none.
    pub include: Option<Vec<String>>,
    /// Names or globs that are not offered.
    pub exclude: Vec<String>,
    /// Changes to individual items.
    pub overrides: Vec<Override>,
}

/// Changes to one item as clients see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Name at the origin; the URI for resources.
    pub name: String,
    /// Exposed name; only for tools and prompts.
    #[serde(rename = "as")]
    pub exposed: Option<String>,
    /// Replaces the title.
    pub title: Option<String>,
    /// Replaces the description.
    pub description: Option<String>,
    /// Merged over the origin's annotations.
    pub annotations: Annotations,
}

/// Tool annotations (`ToolAnnotations` of the MCP schema), merged key by key.
pub type Annotations = std::collections::BTreeMap<String, serde_json::Value>;
