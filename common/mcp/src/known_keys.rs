//! The members that MCP defines, and keys that some decoders take for them.
//!
//! Go's `encoding/json` ignores the case of keys, as Unicode simple case folding defines it: besides ASCII
//! letters, `ſ` (U+017F) equals `s` and `K` (U+212A) equals `k`. A decoder that ignores case and one that does
//! not read different values from `{"name":"a","Name":"b"}`, so a policy that checks only one of them is
//! ineffective. Such keys are rejected where policy reads. Other unknown keys pass: extensions use them.
//!
//! Each list is the union of the members that the supported revisions define at that level (schema.json of
//! 2025-06-18, 2025-11-25 and 2026-07-28, and of the extension `io.modelcontextprotocol/tasks`).

/// Members of a message.
pub(crate) const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];

/// Members of `params`, of all methods.
pub(crate) const PARAMS: &[&str] = &[
    "_meta",
    "argument",
    "arguments",
    "capabilities",
    "clientInfo",
    "context",
    "createdAt",
    "cursor",
    "data",
    "elicitationId",
    "includeContext",
    "inputResponses",
    "lastUpdatedAt",
    "level",
    "logger",
    "maxTokens",
    "message",
    "messages",
    "metadata",
    "mode",
    "modelPreferences",
    "name",
    "notifications",
    "pollInterval",
    "progress",
    "progressToken",
    "protocolVersion",
    "reason",
    "ref",
    "requestId",
    "requestState",
    "requestedSchema",
    "status",
    "statusMessage",
    "stopSequences",
    "systemPrompt",
    "task",
    "taskId",
    "temperature",
    "toolChoice",
    "tools",
    "total",
    "ttl",
    "uri",
    "url",
];

/// Members of `params._meta`.
pub(crate) const META: &[&str] = &[
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/related-task",
    "io.modelcontextprotocol/subscriptionId",
    "progressToken",
];

/// Members of `clientInfo`.
pub(crate) const IMPLEMENTATION: &[&str] =
    &["name", "title", "version", "description", "icons", "websiteUrl"];

/// Members of a client's `capabilities`.
pub(crate) const CLIENT_CAPABILITIES: &[&str] =
    &["elicitation", "experimental", "extensions", "roots", "sampling", "tasks"];

/// Members of `capabilities.extensions`. Their names are keys of a map, which all decoders compare exactly.
pub(crate) const EXTENSIONS: &[&str] = &[];

/// Members of `capabilities.elicitation`.
pub(crate) const ELICITATION: &[&str] = &["form", "url"];

/// Members of `params` of `elicitation/create`.
pub(crate) const ELICIT_PARAMS: &[&str] =
    &["_meta", "elicitationId", "message", "mode", "requestedSchema", "task", "url"];

/// Members of `params.ref`.
pub(crate) const REFERENCE: &[&str] = &["type", "name", "uri", "title"];

/// Members of the filter of `subscriptions/listen`.
pub(crate) const SUBSCRIPTION_FILTER: &[&str] =
    &["toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions", "taskIds"];

/// Members of `result`, of all methods.
pub(crate) const RESULT: &[&str] = &[
    "_meta",
    "action",
    "cacheScope",
    "capabilities",
    "completion",
    "content",
    "contents",
    "description",
    "inputRequests",
    "instructions",
    "isError",
    "messages",
    "model",
    "nextCursor",
    "prompts",
    "protocolVersion",
    "requestState",
    "resourceTemplates",
    "resources",
    "resultType",
    "role",
    "roots",
    "serverInfo",
    "stopReason",
    "structuredContent",
    "supportedVersions",
    "task",
    "tasks",
    "tools",
    "ttlMs",
];

/// Members of tools, prompts, resources and resource templates in lists.
pub(crate) const ITEM: &[&str] = &[
    "_meta",
    "annotations",
    "arguments",
    "description",
    "execution",
    "icons",
    "inputSchema",
    "mimeType",
    "name",
    "outputSchema",
    "size",
    "title",
    "uri",
    "uriTemplate",
];

/// The known key that a decoder which ignores case takes this key for; `None` if the key is known itself, or
/// resembles none.
pub(crate) fn confused_with(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if known.contains(&key) {
        return None;
    }
    known.iter().find(|known| key.chars().map(fold).eq(known.chars().map(fold))).copied()
}

/// Unicode simple case folding, restricted to characters that fold to ASCII.
fn fold(character: char) -> char {
    match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: [&[&str]; 11] = [
        ENVELOPE,
        PARAMS,
        META,
        IMPLEMENTATION,
        CLIENT_CAPABILITIES,
        ELICITATION,
        ELICIT_PARAMS,
        REFERENCE,
        SUBSCRIPTION_FILTER,
        RESULT,
        ITEM,
    ];

    #[test]
    fn given_known_keys_then_none_is_confused_with_another() {
        for known in LISTS {
            for key in known {
                assert_eq!(confused_with(key, known), None, "{key}");
            }
        }
    }

    #[test]
    fn given_any_other_case_then_the_key_is_confused() {
        for known in LISTS {
            for key in known {
                let variants = [
                    key.to_uppercase(),
                    key.replacen('s', "\u{17f}", 1),
                    key.replacen('k', "\u{212a}", 1),
                    key.replacen('s', "S", 1),
                ];
                for variant in variants.iter().filter(|variant| variant != key) {
                    assert_eq!(confused_with(variant, known), Some(*key), "{variant}");
                }
            }
        }
    }

    #[test]
    fn given_unknown_keys_then_they_are_not_confused() {
        for key in ["", "x", "näme", "名", "names", "nam", "\u{130}d", "ſ", "name ", "io.example/Name"] {
            for known in LISTS {
                assert_eq!(confused_with(key, known), None, "{key}");
            }
        }
    }
}
