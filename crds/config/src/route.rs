use serde::{Deserialize, Serialize};

/// A virtual MCP (`VirtualMcp`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteConfig {
    /// The resource's UID: grants bind to it, not to the slug.
    pub uid: String,
    /// `namespace/name`.
    pub name: String,
    /// Served at `{publicUrl}/mcp/{slug}`.
    pub slug: String,
    /// For people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// Kill switch.
    pub suspended: bool,
    /// Name of the identity provider whose users it serves.
    pub identity_provider: String,
    /// UID of its origin.
    pub origin: String,
    /// What of the origin is offered.
    pub capabilities: Capabilities,
    /// Who may use it.
    pub access: Access,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Members of a team that names it.
    Teams,
    /// Everyone who signs in through its identity provider.
    Everyone,
}

/// What of the origin is offered, per kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// By tool name.
    pub tools: Selection,
    /// By prompt name.
    pub prompts: Selection,
    /// By URI.
    pub resources: Selection,
    /// By URI template.
    pub resource_templates: Selection,
}

/// A choice among the origin's names of one kind. Exclude wins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selection {
    /// Names or globs (`*` crosses `/`); absent means all, empty means none.
    pub include: Option<Vec<String>>,
    /// Names or globs.
    pub exclude: Vec<String>,
    /// How single items are presented.
    pub overrides: Vec<Override>,
}

/// How one item is presented to clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Override {
    /// The origin's name for it (a URI for resources).
    pub name: String,
    /// The exposed name; tools and prompts only.
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
