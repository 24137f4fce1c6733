//! An origin's message, on its way through: read as another parser reads it, never a question and an answer at once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_mcp::response::{StreamMessage, ResponseOutcome, response_outcome};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let parsed = serde_json::from_slice::<Value>(data);
    if let Ok(read) = StreamMessage::parse(data)
        && let Ok(value) = &parsed
    {
        assert_eq!(read.method.as_deref(), value.get("method").and_then(Value::as_str));
        assert!(
            value.get("method").is_none_or(Value::is_null) || value.get("result").is_none_or(Value::is_null)
        );
        let uri = read.uri.as_deref();
        assert_eq!(uri, value.get("params").and_then(|params| params.get("uri")).and_then(Value::as_str));
        assert_eq!(read.is_response(), read.method.is_none() && read.id.is_some());
    }
    match response_outcome(data) {
        ResponseOutcome::Error => assert!(parsed.is_err() || parsed.unwrap().get("error").is_some()),
        ResponseOutcome::ToolError | ResponseOutcome::Success | ResponseOutcome::Task => {
            assert!(parsed.is_err() || parsed.unwrap().get("result").is_some());
        }
        ResponseOutcome::NotAResponse => {}
    }
});
