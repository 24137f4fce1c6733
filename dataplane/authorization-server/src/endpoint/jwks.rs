//! The JWKS endpoint.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use portcullis_keyring::Keyring;

/// The public keys that verify access tokens (RFC 7517). All issuers use the same keys.
pub(super) async fn keys(State(keys): State<Arc<Keyring>>) -> Response {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(keys.signing.jwks())).into_response()
}
