//! Which headers pass. Both ways by name: what is not known to be needed stays here, credentials and cookies above all.

use http::header::{ACCEPT, ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName};
use portcullis_mcp::header::{LAST_EVENT_ID, SESSION_ID};

const FORWARDED_REQUEST_HEADERS: [HeaderName; 5] =
    [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT, LAST_EVENT_ID];
const FORWARDED_RESPONSE_HEADERS: [HeaderName; 4] = [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER, ALLOW];

/// What an origin sees of a client's headers. The session is added by the caller, in the origin's own terms. No
/// `Accept-Encoding`: policy must be able to read the answer.
pub(super) fn to_origin(client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    for (name, value) in client {
        let known =
            FORWARDED_REQUEST_HEADERS.contains(name) || matches!(name.as_str(), "traceparent" | "tracestate");
        // `Mcp-Param-*` and whatever the protocol adds later (2026-07-28: an intermediary must forward what it does not know).
        let protocol = name.as_str().starts_with("mcp-") && *name != SESSION_ID;
        if known || protocol {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// What a client sees of an origin's headers.
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
