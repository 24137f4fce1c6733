//! The parts of an `initialize` or `server/discover` result that another user may be shown.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Members that describe the server. `instructions` is not among them: it is text for one user's model, often
/// written for that user.
const SERVER_MEMBERS: [&str; 4] = ["protocolVersion", "supportedVersions", "capabilities", "serverInfo"];
/// The only such member of `_meta`.
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// The result without everything that may concern only the user to whom it was sent. `None` if it is not an
/// object.
pub(super) fn reusable_server_info(result: &str) -> Option<Box<RawValue>> {
    let mut members: Map<String, Value> = serde_json::from_str(result).ok()?;
    if let Some(Value::Object(meta)) = members.get_mut("_meta") {
        meta.retain(|key, _| key == SERVER_INFO_KEY);
    }
    members.retain(|key, value| {
        SERVER_MEMBERS.contains(&key.as_str())
            || (key == "_meta" && value.as_object().is_some_and(|meta| !meta.is_empty()))
    });
    serde_json::value::to_raw_value(&members).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_result_for_one_user_then_only_what_describes_the_server_is_reused() {
        let reused = |result: &str| reusable_server_info(result).unwrap().get().to_owned();
        let legacy = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s"},
            "instructions":"Ana's workspace is X.","_meta":{"user":"ana"},"user":"ana"}"#;
        assert_eq!(
            reused(legacy),
            r#"{"capabilities":{"tools":{}},"protocolVersion":"2025-11-25","serverInfo":{"name":"s"}}"#
        );
        let modern = r#"{"supportedVersions":["2026-07-28"],"instructions":"x","ttlMs":5,"cacheScope":"public",
            "_meta":{"user":"ana","io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#;
        assert_eq!(
            reused(modern),
            r#"{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}},"supportedVersions":["2026-07-28"]}"#
        );
        assert_eq!(reused(r#"{"_meta":"ana"}"#), "{}");
        assert!(reusable_server_info("[]").is_none());
    }
}
