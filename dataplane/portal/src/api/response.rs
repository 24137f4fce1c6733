use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::error::PortalError;
use crate::page;

/// Why a request was not answered: `{"error": "a_stable_word", "message": "A sentence."}`.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// As a page would say it.
    PortalError(PortalError),
    /// A change that no page of this origin can be seen to ask for.
    CrossOrigin,
    /// Several people have signed in with this browser.
    Ambiguous,
    /// What was sent does not read.
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
                "A change has to come from a page of this very origin, with the header Portcullis-Request."
                    .to_owned(),
            ),
            Self::Ambiguous => (
                StatusCode::BAD_REQUEST,
                "ambiguous",
                "Several people have signed in with this browser; say as whom with ?identity_provider=."
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

/// What every handler here returns.
pub(crate) type ApiResult = Result<Response, ApiError>;

/// A document that nobody keeps.
pub(crate) fn json_response(document: impl Serialize) -> ApiResult {
    let mut response = Json(document).into_response();
    page::set_security_headers(response.headers_mut());
    Ok(response)
}

/// Done, and nothing to say about it.
pub(crate) fn no_content() -> ApiResult {
    let mut response = StatusCode::NO_CONTENT.into_response();
    page::set_security_headers(response.headers_mut());
    Ok(response)
}

/// Whatever is not there.
pub(crate) async fn not_found() -> ApiError {
    ApiError::PortalError(PortalError::NotFound)
}
