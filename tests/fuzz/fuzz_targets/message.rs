//! A client's message. What is accepted is JSON to everybody, says the same to another parser, and no key of it comes twice.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_mcp::header;
use portcullis_mcp::message::{Message, MessageKind, JsonString};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::parse(data) else { return };
    let value: Value = serde_json::from_slice(data).expect("what is accepted is JSON");
    assert_eq!(value["jsonrpc"], "2.0");
    assert_eq!(value.get("method").and_then(Value::as_str).unwrap_or_default(), message.method_name);
    assert_eq!(message.id.map(|id| serde_json::from_str(id.get()).unwrap()), value.get("id").cloned());
    assert_eq!(message.kind == MessageKind::Response, value.get("method").is_none());
    let text = std::str::from_utf8(data).expect("it is UTF-8");
    agrees(text, message.name.as_ref(), &value["params"]["name"]);
    agrees(text, message.uri.as_ref(), &value["params"]["uri"]);
    agrees(text, message.task_id.as_ref(), &value["params"]["taskId"]);
    agrees(text, message.reference_name.as_ref(), &value["params"]["ref"]["name"]);
    agrees(text, message.reference_uri.as_ref(), &value["params"]["ref"]["uri"]);
    // Written anew by a parser that keeps the last of repeated keys it has as many keys as before: none was repeated.
    assert_eq!(colons(text), colons(&value.to_string()), "a key comes twice");

    // Replaced in place, the name is another and everything else as it was.
    if let Some(name) = &message.name {
        let changed = format!("{}\"r\\u0065named\"{}", &text[..name.span.start], &text[name.span.end..]);
        let mut expected = value.clone();
        expected["params"]["name"] = "renamed".into();
        assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), expected);
        assert_eq!(Message::parse(changed.as_bytes()).unwrap().name.unwrap().value, "renamed");
    }
    let _ = header::find_mismatch(&http::HeaderMap::new(), &message);
});

fn agrees(text: &str, read: Option<&JsonString<'_>>, value: &Value) {
    assert_eq!(read.map(|read| &*read.value), value.as_str());
    if let Some(read) = read {
        assert_eq!(serde_json::from_str::<String>(&text[read.span.clone()]).unwrap(), read.value);
    }
}

/// How many keys there are: colons outside of strings.
fn colons(json: &str) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b':' if !inside => count += 1,
            _ => {}
        }
    }
    count
}
