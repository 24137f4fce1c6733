//! Parsers of untrusted input, exposed only to the fuzz targets in `tests/fuzz`.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::client::{Client, RequestedMetadata, check_redirect, matches, read_document};
use crate::endpoint;

/// Whether a redirect URI may be registered.
#[must_use]
pub fn is_redirect(uri: &str) -> bool {
    check_redirect(uri).is_ok()
}

/// Whether a redirect URI in a request matches a registered one.
#[must_use]
pub fn is_registered(registered: &str, requested: &str) -> bool {
    matches(registered, requested)
}

/// The metadata that a client would be registered with (RFC 7591).
#[must_use]
pub fn registration(body: &[u8]) -> Option<Value> {
    let requested: RequestedMetadata = portcullis_egress::parse_json_object(body).ok()?;
    serde_json::to_value(requested.accept().ok()?).ok()
}

/// The client that a metadata document describes.
#[must_use]
pub fn document(client_id: &str, body: &[u8]) -> Option<Arc<Client>> {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    read_document(client_id, 200, &headers, body).ok().map(|documented| documented.client)
}

/// One form parameter of a token request.
#[must_use]
pub fn parameter(body: &[u8], name: &str) -> Option<String> {
    endpoint::parameter(body, name)
}

/// The client id and secret in a Basic `Authorization` header.
#[must_use]
pub fn basic(header: &str) -> Option<(String, String)> {
    endpoint::basic(header)
}
