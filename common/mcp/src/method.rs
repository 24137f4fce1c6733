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

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: &[(&str, Method)] = &[
        ("initialize", Method::Initialize),
        ("server/discover", Method::Discover),
        ("tools/list", Method::ToolsList),
        ("tools/call", Method::ToolsCall),
        ("prompts/list", Method::PromptsList),
        ("prompts/get", Method::PromptsGet),
        ("resources/list", Method::ResourcesList),
        ("resources/templates/list", Method::ResourceTemplatesList),
        ("resources/read", Method::ResourcesRead),
        ("resources/subscribe", Method::ResourcesSubscribe),
        ("resources/unsubscribe", Method::ResourcesSubscribe),
        ("completion/complete", Method::Complete),
        ("subscriptions/listen", Method::Listen),
        ("tasks/get", Method::Tasks),
        ("tasks/list", Method::Tasks),
        ("tasks/result", Method::Tasks),
        ("tasks/cancel", Method::Tasks),
        ("tasks/update", Method::Tasks),
        ("ping", Method::Neutral),
        ("logging/setLevel", Method::Neutral),
        ("notifications/cancelled", Method::Neutral),
        ("notifications/initialized", Method::Neutral),
        ("notifications/progress", Method::Neutral),
        ("notifications/roots/list_changed", Method::Neutral),
        ("notifications/tasks/status", Method::Neutral),
    ];

    #[test]
    fn given_a_method_that_clients_send_then_it_is_classified() {
        for (name, method) in METHODS {
            assert_eq!(Method::of(name), *method, "{name}");
        }
    }

    /// A variant in case or white space is another method: an origin that accepts it would bypass policy.
    #[test]
    fn given_any_other_method_then_it_is_unknown() {
        for (name, _) in METHODS {
            for variant in [name.to_uppercase(), format!("{name} "), format!("{name}/"), format!("/{name}")] {
                assert_eq!(Method::of(&variant), Method::Unknown, "{variant}");
            }
        }
        // The last two are sent by servers only.
        for name in ["", "tools", "tools/delete", "notifications/", "roots/list", "sampling/createMessage"] {
            assert_eq!(Method::of(name), Method::Unknown, "{name}");
        }
    }

    #[test]
    fn given_a_method_that_lists_capabilities_then_the_shape_of_its_response_is_known() {
        let lists = [
            ("tools/list", "tools", "name"),
            ("prompts/list", "prompts", "name"),
            ("resources/list", "resources", "uri"),
            ("resources/templates/list", "resourceTemplates", "uriTemplate"),
        ];
        for (method, key, identifier) in lists {
            assert_eq!(Method::of(method).list(), Some(ListShape { method, key, identifier }));
        }
        for (name, method) in METHODS {
            let lists_capabilities = lists.iter().any(|(list, ..)| list == name);
            assert_eq!(method.list().is_some(), lists_capabilities, "{name}");
        }
        assert_eq!(Method::Unknown.list(), None);
    }

    #[test]
    fn given_a_method_then_only_calling_getting_and_reading_invoke_a_capability() {
        for (name, method) in METHODS {
            let invokes = ["tools/call", "prompts/get", "resources/read"].contains(name);
            assert_eq!(method.is_invocation(), invokes, "{name}");
        }
        assert!(!Method::Unknown.is_invocation());
    }
}
