//! Classifies MCP methods by name.

use crate::list::ListShape;

/// A method, classified for policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `initialize` (legacy era): opens a session.
    Initialize,
    /// `server/discover` (2026-07-28).
    Discover,
    /// `tools/list`.
    ToolsList,
    /// `tools/call`.
    ToolsCall,
    /// `prompts/list`.
    PromptsList,
    /// `prompts/get`.
    PromptsGet,
    /// `resources/list`.
    ResourcesList,
    /// `resources/templates/list`.
    ResourceTemplatesList,
    /// `resources/read`.
    ResourcesRead,
    /// `resources/subscribe` and `resources/unsubscribe` (legacy era).
    ResourcesSubscribe,
    /// `completion/complete`.
    Complete,
    /// `subscriptions/listen` (2026-07-28).
    Listen,
    /// `tasks/*`: refers to a task that an earlier request started.
    Tasks,
    /// Refers to no capability: `ping`, `logging/setLevel`, the notifications that MCP defines for clients.
    Neutral,
    /// A method that this gateway does not support, so it cannot determine which capability the request uses.
    Unknown,
}

impl Method {
    /// Classifies the name of a method.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "initialize" => Self::Initialize,
            "server/discover" => Self::Discover,
            "tools/list" => Self::ToolsList,
            "tools/call" => Self::ToolsCall,
            "prompts/list" => Self::PromptsList,
            "prompts/get" => Self::PromptsGet,
            "resources/list" => Self::ResourcesList,
            "resources/templates/list" => Self::ResourceTemplatesList,
            "resources/read" => Self::ResourcesRead,
            "resources/subscribe" | "resources/unsubscribe" => Self::ResourcesSubscribe,
            "completion/complete" => Self::Complete,
            "subscriptions/listen" => Self::Listen,
            "tasks/get" | "tasks/list" | "tasks/result" | "tasks/cancel" | "tasks/update" => Self::Tasks,
            "ping" | "logging/setLevel" => Self::Neutral,
            "notifications/cancelled"
            | "notifications/initialized"
            | "notifications/progress"
            | "notifications/roots/list_changed"
            | "notifications/tasks/status" => Self::Neutral,
            _ => Self::Unknown,
        }
    }

    /// Shape of the response, for methods that list capabilities.
    #[must_use]
    pub fn list(self) -> Option<ListShape> {
        let (method, key, identifier) = match self {
            Self::ToolsList => ("tools/list", "tools", "name"),
            Self::PromptsList => ("prompts/list", "prompts", "name"),
            Self::ResourcesList => ("resources/list", "resources", "uri"),
            Self::ResourceTemplatesList => ("resources/templates/list", "resourceTemplates", "uriTemplate"),
            _ => return None,
        };
        Some(ListShape { method, key, identifier })
    }

    /// Whether the method invokes a capability.
    #[must_use]
    pub fn is_invocation(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }
}
