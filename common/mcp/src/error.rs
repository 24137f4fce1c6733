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
