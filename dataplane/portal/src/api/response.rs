//! JSON responses and errors of the API.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::error::PortalError;
use crate::page;

/// Why a request failed. Sent as `{"error": "a_stable_word", "message": "A sentence."}`.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The error that a page would show.
    PortalError(PortalError),
    /// A change that does not verifiably come from a page of the same web origin.
    CrossOrigin,
    /// Several users are signed in, and the request does not select one.
    Ambiguous,
    /// Query or body are invalid.
    InvalidInput(String),
}

impl<E: Into<PortalError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self::PortalError(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error, message) = match &self {
            Self::PortalError(failure) => (failure.status(), failure.code(), failure.to_string()),
            Self::CrossOrigin => (
                StatusCode::FORBIDDEN,
                "not_from_here",
                "A change must come from a page of the same web origin, with the header Portcullis-Request."
                    .to_owned(),
            ),
            Self::Ambiguous => (
                StatusCode::BAD_REQUEST,
                "ambiguous",
                "Several users are signed in with this browser. Select one with ?identity_provider=."
                    .to_owned(),
            ),
            Self::InvalidInput(why) => (StatusCode::BAD_REQUEST, "unreadable", why.clone()),
        };
        let mut response = (status, Json(json!({"error": error, "message": message}))).into_response();
        page::set_security_headers(response.headers_mut());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

pub(crate) type ApiResult = Result<Response, ApiError>;

/// A JSON document with `Cache-Control: no-store`.
pub(crate) fn json_response(document: impl Serialize) -> ApiResult {
    let mut response = Json(document).into_response();
    page::set_security_headers(response.headers_mut());
    Ok(response)
}

/// An empty 204 response.
pub(crate) fn no_content() -> ApiResult {
    let mut response = StatusCode::NO_CONTENT.into_response();
    page::set_security_headers(response.headers_mut());
    Ok(response)
}

/// 404 for unknown paths.
pub(crate) async fn not_found() -> ApiError {
    ApiError::PortalError(PortalError::NotFound)
}
