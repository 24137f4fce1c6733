use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::page;

/// Why a request was not answered: `{"error": "a_stable_word", "message": "A sentence."}`.
#[derive(Debug)]
pub(crate) enum Problem {
    /// As a page would say it.
    Failure(Failure),
    /// A change that no page of this origin can be seen to ask for.
    NotFromHere,
    /// Several people have signed in with this browser.
    Ambiguous,
    /// What was sent does not read.
    Unreadable(String),
}

impl<E: Into<Failure>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, error, message) = match &self {
            Self::Failure(failure) => (failure.status(), failure.word(), failure.to_string()),
            Self::NotFromHere => (
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
            Self::Unreadable(why) => (StatusCode::BAD_REQUEST, "unreadable", why.clone()),
        };
        let mut response = (status, Json(json!({"error": error, "message": message}))).into_response();
        page::guard(response.headers_mut());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

/// What every handler here returns.
pub(crate) type Answer = Result<Response, Problem>;

/// A document that nobody keeps.
pub(crate) fn document(document: impl Serialize) -> Answer {
    let mut response = Json(document).into_response();
    page::guard(response.headers_mut());
    Ok(response)
}

/// Done, and nothing to say about it.
pub(crate) fn done() -> Answer {
    let mut response = StatusCode::NO_CONTENT.into_response();
    page::guard(response.headers_mut());
    Ok(response)
}

/// Whatever is not there.
pub(crate) async fn nothing_here() -> Problem {
    Problem::Failure(Failure::NotFound)
}
