//! `Mcp-Name` and `Mcp-Param-*` (MCP 2026-07-28, "Value Encoding"): whatever is encoded decodes to itself.

#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use portcullis_mcp::header::{decode, encode};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let encoded = encode(text);
        assert_eq!(decode(&encoded).as_deref(), Some(text));
        assert!(encoded.as_bytes().iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e)));
    }
    if let Ok(value) = HeaderValue::from_bytes(data)
        && let Some(decoded) = decode(&value)
    {
        assert_eq!(decode(&encode(&decoded)), Some(decoded));
    }
});
