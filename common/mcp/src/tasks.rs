//! Tasks: requests whose result is fetched later, by a task id (2025-11-25, basic/utilities/tasks; extension
//! `io.modelcontextprotocol/tasks` of 2026-07-28). An origin binds a task to the credential of its request. If
//! users share a credential, each of them could read and cancel the tasks of the others, so such routes remove
//! tasks from what client and origin declare.

use crate::json_object::JsonObject;

/// Name of the extension, in `extensions` of a client's or an origin's capabilities.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Member of a client's or an origin's capabilities (2025-11-25).
const CAPABILITY: &str = "tasks";

/// Removes tasks from a capabilities object. Returns `None` if it declares none.
///
/// # Errors
/// When the text is not an object, or contains a key twice.
pub fn remove_from_capabilities(capabilities: &str) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let mut capabilities = JsonObject::parse(capabilities)?;
    Ok(remove(&mut capabilities)?.then(|| capabilities.to_json()))
}

/// Removes tasks from the capabilities of an origin, in its response to `initialize` or `server/discover`.
/// Returns `None` if the response declares none.
///
/// # Errors
/// When the response is not JSON, or one of the objects down to `extensions` contains a key twice.
pub fn remove_from_response(message: &[u8]) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let mut response: JsonObject<'_> = serde_json::from_slice(message)?;
    let changed = response.edit("result", |result| result.edit("capabilities", remove))?;
    Ok(changed.then(|| response.to_json()))
}

fn remove(capabilities: &mut JsonObject<'_>) -> Result<bool, serde_json::Error> {
    let extension = capabilities.edit("extensions", |extensions| Ok(extensions.remove(EXTENSION)))?;
    Ok(capabilities.remove(CAPABILITY) || extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(capabilities: &str) -> Option<String> {
        remove_from_capabilities(capabilities).unwrap().map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn given_capabilities_that_declare_tasks_then_only_tasks_are_removed() {
        for (declared, remaining) in [
            (r#"{"tasks":{"list":{}},"roots":{"x": 1.50}}"#, r#"{"roots":{"x": 1.50}}"#),
            (
                r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/x":{}},"roots":{}}"#,
                r#"{"extensions":{"com.example/x":{}},"roots":{}}"#,
            ),
            (r#"{"extensions":{"io.modelcontextprotocol\/t\u0061sks":{}}}"#, r#"{"extensions":{}}"#),
            (r#"{"t\u0061sks":null}"#, "{}"),
        ] {
            assert_eq!(without(declared).as_deref(), Some(remaining), "{declared}");
        }
        for other in
            ["{}", r#"{"roots":{"tasks":{}},"extensions":{"com.example/tasks":{}}}"#, r#"{"extensions":[]}"#]
        {
            assert_eq!(without(other), None, "{other}");
        }
        assert!(remove_from_capabilities(r#"{"tasks":{},"tasks":{}}"#).is_err());
    }

    #[test]
    fn given_a_response_then_tasks_are_removed_from_its_capabilities_alone() {
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{},"tasks":{}},"tasks":1},"tasks":2}"#;
        let changed = remove_from_response(response.as_bytes()).unwrap().unwrap();
        assert_eq!(
            String::from_utf8(changed).unwrap(),
            r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{}},"tasks":1},"tasks":2}"#
        );
        for other in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{}}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":null}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"tasks"}}"#,
        ] {
            assert_eq!(remove_from_response(other.as_bytes()).unwrap(), None, "{other}");
        }
        assert!(remove_from_response(b"<html>").is_err());
    }
}
