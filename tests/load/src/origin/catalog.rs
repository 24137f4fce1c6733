//! A realistic catalog, like that of an issue tracker: ten nouns, ten verbs, a hundred tools with schemas,
//! about 80 KB.

use serde_json::{Value, json};

const NOUNS: [&str; 10] =
    ["issue", "project", "comment", "cycle", "label", "document", "milestone", "attachment", "view", "team"];

/// A verb, the description of its tools, and whether they are read-only.
const VERBS: [(&str, &str, bool); 10] = [
    ("get", "Reads one {} by its identifier, with its fields, its history and who may see it.", true),
    (
        "list",
        "Lists every {} that the caller can see, newest first, page by page, filtered by state, author and time.",
        true,
    ),
    (
        "search",
        "Finds each {} whose title or text matches a query, best match first, with the passage that matched.",
        true,
    ),
    (
        "create",
        "Creates a {} in the workspace. Fields that are left out take the defaults of the workspace.",
        false,
    ),
    ("update", "Changes the fields that are given of one {} and leaves the others as they are.", false),
    (
        "archive",
        "Archives a {}: it stays readable, does not appear in lists any more, and can be brought back.",
        false,
    ),
    (
        "delete",
        "Deletes a {} for good, with all that belongs to it. This cannot be undone; archive it where in doubt.",
        false,
    ),
    (
        "export",
        "Exports a {} with everything that belongs to it as a file, and returns where the file can be fetched.",
        true,
    ),
    (
        "watch",
        "Subscribes the caller to changes of a {}; changes arrive in the inbox, and by mail where that is on.",
        false,
    ),
    (
        "share",
        "Makes a link to a {} that people outside of the workspace can open until it expires or is withdrawn.",
        false,
    ),
];

/// The result of `tools/list`.
pub(super) fn list() -> Value {
    let tools: Vec<Value> =
        NOUNS.iter().flat_map(|noun| VERBS.iter().map(move |verb| tool(noun, verb))).collect();
    json!({"resultType": "complete", "tools": tools, "ttlMs": 60000, "cacheScope": "public"})
}

/// The result of `server/discover`.
pub(super) fn discover() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "instructions": "An issue tracker for load measurements.",
        "ttlMs": 60000,
        "cacheScope": "public",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "portcullis-load", "version": env!("CARGO_PKG_VERSION")}},
    })
}

fn tool(noun: &str, (verb, what, reads): &(&str, &str, bool)) -> Value {
    json!({
        "name": format!("{verb}_{noun}"),
        "title": format!("{}{} {noun}", verb[..1].to_uppercase(), &verb[1..]),
        "description": what.replace("{}", noun),
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "id": {"type": "string", "minLength": 1, "description": format!("Which {noun}: its key, such as PORT-7, or its UUID.")},
                "workspace": {"type": "string", "description": "The workspace's short name. The caller's own where it is left out."},
                "fields": {
                    "type": "array",
                    "items": {"type": "string", "enum": ["title", "text", "state", "author", "created", "changed"]},
                    "description": format!("Which fields of the {noun} the answer holds. All where it is left out."),
                },
                "limit": {"type": "integer", "minimum": 1, "maximum": 250, "default": 50},
            },
            "required": ["id"],
            "additionalProperties": false,
        },
        "annotations": {"readOnlyHint": reads, "destructiveHint": *verb == "delete", "openWorldHint": false},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn given_the_catalog_then_it_has_a_hundred_tools_of_realistic_size() {
        let list = list();
        let names: BTreeSet<_> =
            list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str()).collect();
        assert_eq!(names.len(), 100);
        let size = list.to_string().len();
        assert!((60_000..=100_000).contains(&size), "{size} bytes");
    }
}
