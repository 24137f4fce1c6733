//! An origin's list, curated by splicing: the same as parsed, filtered and written anew.

#![no_main]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use libfuzzer_sys::fuzz_target;
use portcullis_mcp::json_object::JsonObject;
use portcullis_mcp::list::{ItemAction, List, ListShape};
use serde_json::Value;

const TOOLS: ListShape = ListShape { method: "tools/list", key: "tools", identifier: "name" };

fuzz_target!(|data: &[u8]| {
    let Ok(list) = List::parse(data, TOOLS) else { return };
    let Ok(mut expected) = serde_json::from_slice::<Value>(data) else { return };
    let Some(items) = list.items() else {
        assert!(!expected["result"]["tools"].is_array(), "a list that was not found");
        return;
    };
    let count = items.len();
    let Ok(curated) = list.curate(true, |item| match fate(&item.key) {
        0 => ItemAction::Hide,
        1 => presented(item.json).map_or(ItemAction::Hide, ItemAction::Replace),
        _ => ItemAction::Keep,
    }) else {
        return;
    };
    let before = expected["result"]["tools"].as_array().expect("the same list").clone();
    assert_eq!(before.len(), count);
    let after: Vec<Value> = before
        .into_iter()
        .filter_map(|mut item| match fate(item["name"].as_str().expect("a name")) {
            0 => None,
            1 => {
                // Members of one name are refused before they are presented.
                presented(&item.to_string())?;
                item["description"] = "another".into();
                Some(item)
            }
            _ => Some(item),
        })
        .collect();
    let Some(curated) = curated else { return };
    let curated: Value = serde_json::from_slice(&curated).expect("what is curated is JSON");
    if curated["result"]["tools"].as_array().map(Vec::len) == Some(after.len()) {
        expected["result"]["tools"] = after.into();
        if expected["result"].get("cacheScope").is_some() {
            expected["result"]["cacheScope"] = "private".into();
        }
        assert_eq!(curated, expected);
    } else {
        // An item with repeated members is hidden where it would be presented; a lenient parser does not see them.
        assert!(curated["result"]["tools"].as_array().is_some_and(|left| left.len() < after.len()));
    }
});

fn fate(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() % 3
}

fn presented(item: &str) -> Option<Vec<u8>> {
    let mut members = JsonObject::parse(item).ok()?;
    members.set("description", "another");
    Some(members.to_json())
}
