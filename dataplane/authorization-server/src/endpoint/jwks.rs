//! The JWKS endpoint.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;

use crate::AuthorizationServer;

/// The public keys that verify access tokens (RFC 7517). All issuers use the same keys.
pub(super) async fn keys(State(identity): State<AuthorizationServer>) -> Response {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(identity.keys().signing.jwks())).into_response()
}
