//! JSON-RPC errors and results that the gateway creates itself.

use serde::Serialize;
use serde_json::value::RawValue;

/// Error codes that the gateway uses.
pub mod code {
    /// Invalid JSON (JSON-RPC 2.0 section 5.1).
    pub const PARSE_ERROR: i64 = -32700;
    /// Not a request (JSON-RPC 2.0 section 5.1).
    pub const INVALID_REQUEST: i64 = -32600;
    /// Unknown method (JSON-RPC 2.0 section 5.1).
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// Unknown tool or prompt (MCP server/tools, "Error Handling").
    pub const INVALID_PARAMS: i64 = -32602;
    /// Resource not found, legacy era (MCP 2025-11-25 server/resources, "Error Handling").
    pub const RESOURCE_NOT_FOUND: i64 = -32002;
    /// URL elicitation required, 2025-11-25 only (client/elicitation).
    pub const URL_ELICITATION_REQUIRED: i64 = -32042;
    /// A header does not match the body, 2026-07-28 (basic/transports/streamable-http, "Server Validation").
    pub const HEADER_MISMATCH: i64 = -32020;
    /// Denied by the gateway's policy, or the gateway cannot serve: implementation-defined range of JSON-RPC
    /// 2.0.
    pub const GATEWAY: i64 = -32000;
}

#[derive(Serialize)]
struct ErrorResponse<'a, D> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    error: ErrorObject<'a, D>,
}

#[derive(Serialize)]
struct ErrorObject<'a, D> {
    code: i64,
    message: &'a str,
    data: D,
}

/// JSON text of an error. `data` should contain a stable machine-readable `reason`.
#[must_use]
pub fn error(id: Option<&RawValue>, code: i64, message: &str, data: impl Serialize) -> Vec<u8> {
    serde_json::to_vec(&ErrorResponse { jsonrpc: "2.0", id, error: ErrorObject { code, message, data } })
        .unwrap_or_default()
}

/// JSON text of a result.
#[must_use]
pub fn result(id: Option<&RawValue>, result: impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct ResultResponse<'a, R> {
        jsonrpc: &'static str,
        id: Option<&'a RawValue>,
        result: R,
    }
    serde_json::to_vec(&ResultResponse { jsonrpc: "2.0", id, result }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(body: Vec<u8>) -> String {
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn given_a_request_when_it_is_answered_then_the_response_has_its_id_as_written() {
        for id in ["7", "-0", r#""a\u0031""#] {
            let id = serde_json::from_str::<&RawValue>(id).unwrap();
            assert_eq!(
                text(error(Some(id), code::GATEWAY, "a \"reason\"", json!({"reason": "denied"}))),
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"a \"reason\"","data":{{"reason":"denied"}}}}}}"#
                )
            );
            assert_eq!(
                text(result(Some(id), json!({"tools": []}))),
                format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[]}}}}"#)
            );
        }
    }

    #[test]
    fn given_a_request_without_a_readable_id_then_its_error_has_none() {
        assert_eq!(
            text(error(None, code::PARSE_ERROR, "invalid", json!({"reason": "not_json"}))),
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"invalid","data":{"reason":"not_json"}}}"#
        );
    }
}
