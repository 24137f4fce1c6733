//! URL elicitation: an origin asks the user to open a link (client/elicitation, "URL Mode Elicitation"). Clients
//! must show which server asks, but they know only the gateway, so the gateway adds the origin's name.

use serde::de::Error as _;
use serde_json::value::RawValue;

use crate::json_object::JsonObject;
use crate::known_keys::{ELICIT_PARAMS, ENVELOPE, confused_with};

/// Adds the name of the origin to the messages of URL elicitations: in a request (legacy era), in the
/// `inputRequests` of a result (2026-07-28), or in an error that requires elicitations (2025-11-25). Returns `None`
/// if there are none.
///
/// # Errors
/// When the text is not JSON, or clients could read another elicitation from it than the one that is marked.
pub fn mark(message: &[u8], origin: &str) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let mut message: JsonObject<'_> = serde_json::from_slice(message)?;
    check_keys(&message, ENVELOPE)?;
    let request = mark_request(&mut message, origin)?;
    let result = message.edit("result", |result| mark_result(result, origin))?;
    let error = message.edit("error", |error| mark_error(error, origin))?;
    Ok((request || result || error).then(|| message.to_json()))
}

fn mark_request(request: &mut JsonObject<'_>, origin: &str) -> Result<bool, serde_json::Error> {
    check_keys(request, &["method", "params"])?;
    if request.string("method").as_deref() != Some("elicitation/create") {
        return Ok(false);
    }
    request.edit("params", |params| mark_params(params, origin))
}

fn mark_result(result: &mut JsonObject<'_>, origin: &str) -> Result<bool, serde_json::Error> {
    check_keys(result, &["inputRequests"])?;
    result.edit("inputRequests", |requests| {
        let ids: Vec<String> = requests.keys().map(str::to_owned).collect();
        let mut changed = false;
        for id in ids {
            changed |= requests.edit(&id, |request| mark_request(request, origin))?;
        }
        Ok(changed)
    })
}

fn mark_error(error: &mut JsonObject<'_>, origin: &str) -> Result<bool, serde_json::Error> {
    check_keys(error, &["data"])?;
    error.edit("data", |data| {
        check_keys(data, &["elicitations"])?;
        let Some(list) = data.get("elicitations").filter(|list| list.starts_with('[')) else {
            return Ok(false);
        };
        let elicitations: Vec<&RawValue> = serde_json::from_str(list)?;
        let mut marked = Vec::with_capacity(elicitations.len());
        for elicitation in elicitations {
            let mut params = JsonObject::parse(elicitation.get())?;
            mark_params(&mut params, origin)?;
            marked.push(params.to_json());
        }
        data.put("elicitations", [b"[", marked.join(&b',').as_slice(), b"]"].concat());
        Ok(!marked.is_empty())
    })
}

/// Marks an elicitation, unless it asks for no URL.
fn mark_params(params: &mut JsonObject<'_>, origin: &str) -> Result<bool, serde_json::Error> {
    check_keys(params, ELICIT_PARAMS)?;
    if params.get("url").is_none() {
        return Ok(false);
    }
    let message = params.string("message").unwrap_or_default();
    params.set("message", &format!("From {origin}: {message}"));
    Ok(true)
}

/// Rejects keys that some clients take for a known one.
fn check_keys(object: &JsonObject<'_>, known: &[&'static str]) -> Result<(), serde_json::Error> {
    match object.keys().find_map(|key| Some((key, confused_with(key, known)?))) {
        Some((key, known)) => {
            Err(serde_json::Error::custom(format_args!("key {key:?} differs from {known:?} only by case")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = r#"{"mode":"url","elicitationId":"1","url":"https://evil.example","message":"Portcullis needs you."}"#;
    const MARKED: &str = r#"{"mode":"url","elicitationId":"1","url":"https://evil.example","message":"From Linear: Portcullis needs you."}"#;

    fn marked(message: &str) -> Result<Option<String>, serde_json::Error> {
        Ok(mark(message.as_bytes(), "Linear")?.map(|text| String::from_utf8(text).unwrap()))
    }

    #[test]
    fn given_a_url_elicitation_wherever_it_is_then_it_names_the_origin() {
        for frame in [
            r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":ASKED}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":ASKED},"b":{"method":"roots/list"}},"requestState":"s"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"m","data":{"elicitations":[ASKED,ASKED]}}}"#,
        ] {
            let expected = frame.replace("ASKED", MARKED);
            assert_eq!(
                marked(&frame.replace("ASKED", ASKED)).unwrap().as_deref(),
                Some(&*expected),
                "{frame}"
            );
        }
        assert_eq!(
            marked(r#"{"method":"elicitation/create","params":{"url":"x"}}"#).unwrap().unwrap(),
            r#"{"method":"elicitation/create","params":{"url":"x","message":"From Linear: "}}"#
        );
    }

    #[test]
    fn given_anything_else_then_nothing_changes() {
        for other in [
            r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"m","requestedSchema":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"url":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"inputRequests":{"URL":1}}],"structuredContent":{"url":"x"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"inputRequests":[]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"m","data":{"elicitations":[]}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m","data":"x"}}"#,
        ] {
            assert_eq!(marked(other).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn given_keys_that_clients_read_differently_then_the_message_is_rejected() {
        for ambiguous in [
            r#"{"method":"elicitation/create","params":{"mode":"url","URL":"x","message":"m"}}"#,
            r#"{"method":"elicitation/create","params":{"url":"x","message":"m","Message":"n"}}"#,
            r#"{"method":"elicitation/create","params":{"url":"x","url":"y"}}"#,
            r#"{"method":"ping","Method":"elicitation/create","params":{"url":"x"}}"#,
            "{\"result\":{\"inputReque\u{17f}ts\":{}}}",
            r#"{"result":{"inputRequests":{"a":{"Method":"elicitation/create","params":{}}}}}"#,
            r#"{"error":{"data":{"Elicitations":[]}}}"#,
            r#"{"error":{"data":{"elicitations":[1]}}}"#,
            r#"{"RESULT":{}}"#,
            "<html>",
        ] {
            assert!(marked(ambiguous).is_err(), "{ambiguous}");
        }
    }
}
