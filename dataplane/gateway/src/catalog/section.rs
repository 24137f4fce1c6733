//! Sections of a catalog, and the parts of their documents that the operator needs.

use portcullis_config_distribution::{ListKind, ObservedItem};
use portcullis_mcp::method::Method;

/// A section of a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CatalogSection {
    /// The result of `initialize`.
    Initialize,
    /// The result of `server/discover`.
    Discover,
    Tools,
    Prompts,
    /// Resource templates. Resources are user data and are not kept.
    Templates,
}

impl CatalogSection {
    const ALL: [Self; 5] = [Self::Initialize, Self::Discover, Self::Tools, Self::Prompts, Self::Templates];

    /// The section that the response to a method describes.
    pub(crate) fn from_method(method: Method) -> Option<Self> {
        match method {
            Method::Initialize => Some(Self::Initialize),
            Method::Discover => Some(Self::Discover),
            Method::ToolsList => Some(Self::Tools),
            Method::PromptsList => Some(Self::Prompts),
            Method::ResourceTemplatesList => Some(Self::Templates),
            _ => None,
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Discover => "server/discover",
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The kind of list in the operator's report; `None` for a section that is not a list.
    pub(super) fn list_kind(self) -> Option<ListKind> {
        match self {
            Self::Initialize | Self::Discover => None,
            Self::Tools => Some(ListKind::Tools),
            Self::Prompts => Some(ListKind::Prompts),
            Self::Templates => Some(ListKind::ResourceTemplates),
        }
    }
}

/// The definition of a list item. Templates are identified by their URI template, not by their name.
pub(super) fn definition(kind: ListKind, json: &str) -> Option<ObservedItem> {
    #[derive(serde::Deserialize)]
    struct Item {
        name: Option<String>,
        #[serde(rename = "uriTemplate")]
        uri_template: Option<String>,
    }
    let item: Item = serde_json::from_str(json).ok()?;
    let name = if kind == ListKind::ResourceTemplates { item.uri_template } else { item.name };
    Some(ObservedItem::new(&name?, json))
}

/// The newest protocol revision in the result of `initialize` or `server/discover`.
pub(super) fn protocol_version(greeting: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Greeting {
        protocol_version: Option<String>,
        #[serde(default)]
        supported_versions: Vec<String>,
    }
    let greeting: Greeting = serde_json::from_str(greeting).ok()?;
    // Revisions are dates: the greatest is the newest.
    let newest = greeting.supported_versions.into_iter().max().or(greeting.protocol_version);
    newest.filter(|version| version.len() <= 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_items_when_read_then_templates_are_known_by_their_uri_and_nonsense_by_nothing() {
        let tool = r#"{"name":"read","uriTemplate":"x"}"#;
        assert_eq!(definition(ListKind::Tools, tool), Some(ObservedItem::new("read", tool)));
        let template = r#"{"name":"Notes","uriTemplate":"notes://{id}"}"#;
        let expected = Some(ObservedItem::new("notes://{id}", template));
        assert_eq!(definition(ListKind::ResourceTemplates, template), expected);
        assert_eq!(definition(ListKind::Tools, r#"{"name":7}"#), None);
    }

    #[test]
    fn given_greetings_of_both_eras_when_read_then_the_newest_revision_is_told() {
        assert_eq!(protocol_version(r#"{"protocolVersion":"2025-11-25"}"#).as_deref(), Some("2025-11-25"));
        let modern = r#"{"supportedVersions":["2025-11-25","2026-07-28"]}"#;
        assert_eq!(protocol_version(modern).as_deref(), Some("2026-07-28"));
        assert_eq!(protocol_version("{}"), None);
    }
}
