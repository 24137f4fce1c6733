//! The methods that a gateway relays, by name.

use crate::list::ListShape;

/// What a method means to policy.
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
    /// Names no capability: `ping`, `logging/setLevel`, `tasks/*`, notifications.
    Neutral,
    /// Not one that this gateway knows; it cannot tell what such a request would reach.
    Unknown,
}

impl Method {
    /// Classifies a method's name.
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
            "ping" | "logging/setLevel" | "tasks/get" | "tasks/list" | "tasks/result" | "tasks/cancel"
            | "tasks/update" => Self::Neutral,
            _ if name.starts_with("notifications/") => Self::Neutral,
            _ => Self::Unknown,
        }
    }

    /// The shape of its answer, for the methods that list.
    #[must_use]
    pub fn list(self) -> Option<ListShape> {
        let (key, identifier) = match self {
            Self::ToolsList => ("tools", "name"),
            Self::PromptsList => ("prompts", "name"),
            Self::ResourcesList => ("resources", "uri"),
            Self::ResourceTemplatesList => ("resourceTemplates", "uriTemplate"),
            _ => return None,
        };
        Some(ListShape { key, identifier })
    }

    /// Whether it invokes a capability.
    #[must_use]
    pub fn is_invocation(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }
}
