//! Header forwarding. Both directions use allowlists: unknown headers are dropped, in particular credentials
//! and cookies.

use http::header::{ACCEPT, ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName};
use portcullis_mcp::header::{LAST_EVENT_ID, SESSION_ID};

const FORWARDED_REQUEST_HEADERS: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, USER_AGENT, LAST_EVENT_ID];
const FORWARDED_RESPONSE_HEADERS: [HeaderName; 4] = [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER, ALLOW];

/// Returns the client's headers for the origin. The caller adds the origin's session id and the media type:
/// exactly `application/json`, because origins decode a charset that they are given. `Accept-Encoding` is
/// dropped: the gateway must be able to read the response.
pub(super) fn to_origin(client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    for (name, value) in client {
        let known =
            FORWARDED_REQUEST_HEADERS.contains(name) || matches!(name.as_str(), "traceparent" | "tracestate");
        // `Mcp-Param-*` and future protocol headers (2026-07-28: an intermediary must forward unknown
        // headers).
        let protocol = name.as_str().starts_with("mcp-") && *name != SESSION_ID;
        if known || protocol {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Returns the origin's headers for the client.
pub(super) fn to_client(origin: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    for name in &FORWARDED_RESPONSE_HEADERS {
        if let Some(value) = origin.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in origin {
        if name.as_str().starts_with("mcp-") && *name != SESSION_ID {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}
