//! What a reader understands of a message, and the comparison of two readers.

use serde::{Deserialize, Deserializer, Serialize};

use crate::gateway;

/// Values by which policy decides. `None` outside: the reader does not read this member for this method. `None`
/// inside: the member is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// `request`, `notification` or `response`.
    pub kind: String,
    /// Empty for responses.
    pub method: String,
    /// `params.name` of `tools/call` and `prompts/get`.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub name: Option<Option<String>>,
    /// `params.uri` of `resources/*`.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub uri: Option<Option<String>>,
    /// The resource that the SDK, or code that uses the language's own parser of URIs, finds for `params.uri`.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Option<String>>,
    /// Type of `params.ref`, then its name or URI.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reference: Vec<Option<String>>,
    /// `params.cursor` of lists.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Option<String>>,
    /// `params.taskId`.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub task: Option<Option<String>>,
    /// `params.notifications.resourceSubscriptions`; absent and empty are the same.
    #[serde(deserialize_with = "listed", skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<Vec<String>>,
    /// Protocol revision: of `_meta`, or of `initialize`.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub version: Option<Option<String>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_default()))
}

/// What the gateway reads. It reads both members of a reference, and checks each that is present.
#[derive(Clone, Debug, Default)]
pub struct GatewayReading {
    /// The members that decoders read too.
    pub shared: Reading,
    /// `params.ref.name`.
    pub reference_name: Option<String>,
    /// `params.ref.uri`.
    pub reference_uri: Option<String>,
}

/// The text, empty if absent.
fn text(member: &Option<Option<String>>) -> &str {
    member.as_ref().and_then(Option::as_deref).unwrap_or_default()
}

impl GatewayReading {
    /// The first member that a decoder reads differently. With `absent_is_empty`, the decoder has one value for
    /// an absent string and an empty one.
    pub fn difference(&self, decoder: &Reading, absent_is_empty: bool) -> Option<&'static str> {
        let ours = &self.shared;
        let same = |ours: &Option<Option<String>>, theirs: &Option<Option<String>>| match (ours, theirs) {
            (_, None) => true,
            (Some(ours), Some(theirs)) if absent_is_empty => {
                ours.as_deref().unwrap_or_default() == theirs.as_deref().unwrap_or_default()
            }
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, Some(theirs)) => theirs.is_none(),
        };
        if ours.kind != decoder.kind {
            return Some("kind");
        }
        if ours.method != decoder.method {
            return Some("method");
        }
        [
            ("name", same(&ours.name, &decoder.name)),
            ("uri", same(&ours.uri, &decoder.uri)),
            (
                "resource",
                decoder.resolved.iter().flatten().all(|resource| gateway::covers(text(&ours.uri), resource)),
            ),
            ("reference", self.same_reference(decoder, absent_is_empty)),
            ("cursor", same(&ours.cursor, &decoder.cursor)),
            ("task", same(&ours.task, &decoder.task)),
            (
                "subscriptions",
                decoder.subscriptions.as_ref().is_none_or(|it| Some(it) == ours.subscriptions.as_ref()),
            ),
            // No revision is empty, so every decoder may read an absent one as empty.
            ("version", decoder.version.is_none() || text(&ours.version) == text(&decoder.version)),
        ]
        .into_iter()
        .find_map(|(member, same)| (!same).then_some(member))
    }

    fn same_reference(&self, decoder: &Reading, absent_is_empty: bool) -> bool {
        let (ours, theirs) = match &*decoder.reference {
            [] => return true,
            [Some(kind), value] if kind == "ref/prompt" => (&self.reference_name, value),
            [Some(kind), value] if kind == "ref/resource" => (&self.reference_uri, value),
            _ => return false,
        };
        ours == theirs
            || (absent_is_empty
                && ours.as_deref().unwrap_or_default() == theirs.as_deref().unwrap_or_default())
    }
}
